package console

import (
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
)

// Settings are those of the console.
type Settings struct {
	Addr      string
	UsersFile string
	Secret    string
	Users     Users // of the file
}

// Declare implements [settings.Group].
func (s *Settings) Declare(to *settings.Settings) {
	to.Section("Console")
	to.AddFlag("http-addr", settings.Address(&s.Addr), "127.0.0.1:8081", "where to listen; anything but this machine alone needs --users-file")
	to.Add("users-file", settings.File(&s.UsersFile), "", "YAML file of those who may log in: a list of name, role (viewer or operator) and hash (bcrypt). Without it everybody who reaches the console is an operator")
	to.Add("session-secret", settings.Secret(&s.Secret), "", "32 bytes or more that sign sessions, the same for all consoles behind one name; a random one unless set, so that sessions end with the process")
}

// Check implements [settings.Checker].
func (s *Settings) Check(to *settings.Settings) {
	to.Require(s.UsersFile != "" || isLoopback(s.Addr), "want an address of this machine alone, such as 127.0.0.1:8081, or --users-file: whoever reaches the console could pause and drop", "http-addr", "users-file")
	to.Require(s.Secret == "" || len(s.Secret) >= minSecret, "want 32 bytes or more, such as openssl rand -hex 32 prints", "session-secret")
	if s.UsersFile == "" {
		return
	}
	var err error
	if s.Users, err = ReadUsers(s.UsersFile); err != nil {
		to.Refuse(err)
	}
}
