// Package audit says for the audit who does something, and why.
package audit

import (
	"cmp"
	"os"
	"os/user"

	"github.com/relogin/relogin/cmd/relogin/internal/settings"
)

// Who does something, and why. They are flags alone.
type Who struct {
	By     string // never empty
	Reason string
	Flag   string // of the reason; empty: reason
}

// Declare implements [settings.Group].
func (w *Who) Declare(s *settings.Settings) {
	s.Section("Audit")
	s.AddFlag("by", settings.Text(&w.By), "", "who does this").Default = "user@host of this process"
	s.AddFlag(cmp.Or(w.Flag, "reason"), settings.Text(&w.Reason), "", "why, for those who read it later")
}

// Check implements [settings.Checker].
func (w *Who) Check(*settings.Settings) {
	if w.By == "" {
		w.By = Login()
	}
}

// Login is the user of this process, as user@host, as far as that is known.
func Login() string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}
