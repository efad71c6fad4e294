package console

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"golang.org/x/crypto/bcrypt"

	"github.com/relogin/relogin/test/servers"
)

// binary is the relogin that the tests run.
var binary string

// natsURL and redisURL are where the last relogin dev has its servers.
var natsURL, redisURL string

// startDev runs relogin dev until its samples have ended, and returns the address of its console.
func startDev(t *testing.T) string {
	t.Helper()
	chromium(t)
	var err error
	if binary, err = servers.Build(t.TempDir()); err != nil { // in a test, so that its sources are among what the result depends on
		t.Fatal(err)
	}
	p := &servers.Process{TB: t, Name: "relogin dev", Args: []string{binary, "dev", "--jobs", "40"}}
	p.Start()
	p.WaitForLog("samples ended as expected")
	address := func(name string) string {
		found := regexp.MustCompile(`(?m)^` + name + ` +(\S+)`).FindStringSubmatch(p.Log())
		if found == nil {
			t.Fatalf("it prints no %s", name)
		}
		return found[1]
	}
	natsURL, redisURL = address("NATS"), address("Redis")
	pauseTenant(t, "sleepy")
	mustRun(t, "resume", "--tenant", "sleepy", "--reason", "a browser test")
	return address("Console")
}

// startConsole runs relogin console with one operator beside relogin dev, and returns its address.
func startConsole(t *testing.T, name, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		t.Fatal(err)
	}
	users, address := filepath.Join(t.TempDir(), "users.yaml"), servers.FreeAddr(t)
	if err := os.WriteFile(users, fmt.Appendf(nil, "- name: %s\n  role: operator\n  hash: %s\n", name, hash), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &servers.Process{TB: t, Name: "relogin console", Args: []string{binary, "console", "--http-addr", address, "--users-file", users}}
	p.Start("RELOGIN_NATS_URL="+natsURL, "RELOGIN_REDIS_URL="+redisURL)
	p.WaitForLog("console listens")
	return "http://" + address
}

func mustRun(t *testing.T, args ...string) {
	t.Helper()
	args = append([]string{binary}, args...)
	if code, stdout, stderr := servers.Run(t, []string{"RELOGIN_NATS_URL=" + natsURL}, "", args...); code != 0 {
		t.Fatalf("%v: status %d\n%s%s", args, code, stdout, stderr)
	}
}

func pauseTenant(t *testing.T, name string) {
	t.Helper()
	mustRun(t, "pause", "--tenant", name, "--reason", "a browser test")
}

// complaints collects what a browser says of a page in its own console.
type complaints struct {
	mu   sync.Mutex
	said []string
}

// see takes an event of the browser.
func (c *complaints) see(event any) {
	text := ""
	switch e := event.(type) {
	case *log.EventEntryAdded:
		text = e.Entry.Text
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Text
	}
	if text = strings.TrimSpace(text); text != "" {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.said = append(c.said, text)
	}
}

func (c *complaints) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.said
}
