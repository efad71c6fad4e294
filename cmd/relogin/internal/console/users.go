package console

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/goccy/go-yaml"
	"golang.org/x/crypto/bcrypt"
)

// Role is what a user may do.
type Role string

// The roles.
const (
	Viewer   Role = "viewer"   // sees everything
	Operator Role = "operator" // and pauses, resumes, replays and drops
)

// User may log in.
type User struct {
	Name string `yaml:"name"`
	Role Role   `yaml:"role"`
	Hash string `yaml:"hash"` // bcrypt
}

// Users are those who may log in.
type Users []User

// ReadUsers returns the users of a YAML file: a list of name, role and hash. No error shows a hash.
func ReadUsers(path string) (Users, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	var all Users
	if err := yaml.UnmarshalWithOptions(data, &all, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("read users of %s: want a list of name, role and hash, such as\n- name: anna\n  role: operator\n  hash: $2a$12$…", path)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("read users of %s: it names nobody", path)
	}
	seen := map[string]bool{}
	for i, u := range all {
		if err := u.check(); err != nil {
			return nil, fmt.Errorf("read users of %s: number %d: %w", path, i+1, err)
		}
		if seen[u.Name] {
			return nil, fmt.Errorf("read users of %s: number %d: the name %q is there twice", path, i+1, u.Name)
		}
		seen[u.Name] = true
	}
	return all, nil
}

func (u *User) check() error {
	if u.Name == "" || len(u.Name) > 64 {
		return errors.New("want a name of 1 to 64 bytes")
	}
	if u.Role != Viewer && u.Role != Operator {
		return fmt.Errorf("role %q: want viewer or operator", u.Role)
	}
	if cost, err := bcrypt.Cost([]byte(u.Hash)); err != nil || cost < bcrypt.DefaultCost {
		return fmt.Errorf("want a bcrypt hash with a cost of at least %d, as htpasswd -nBC 12 %s prints after the colon", bcrypt.DefaultCost, u.Name)
	}
	return nil
}

func (all Users) named(name string) *User {
	if i := slices.IndexFunc(all, func(u User) bool { return u.Name == name }); i >= 0 {
		return &all[i]
	}
	return nil
}

// login returns the user of that name and password, nil where there is none. It takes as long for a
// name that there is not.
func (all Users) login(name, password string) *User {
	u := all.named(name)
	hash := all[0].Hash
	if u != nil {
		hash = u.Hash
	}
	if bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) != nil {
		return nil
	}
	return u
}
