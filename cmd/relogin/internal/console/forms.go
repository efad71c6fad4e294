package console

import (
	"net/url"

	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker/job"
)

// Pausable are the scopes that a form offers.
func (*sheet) Pausable() []queue.Target {
	return []queue.Target{
		{Scope: queue.ScopeAll}, {Scope: queue.ScopeLane, Name: string(job.Urgent)}, {Scope: queue.ScopeLane, Name: string(job.Normal)},
	}
}

// ScopeOf is how a form names the target's scope: view.target reads it.
func (*sheet) ScopeOf(t queue.Target) string {
	if t.Scope == queue.ScopeLane {
		return string(queue.ScopeLane) + " " + t.Name
	}
	return string(t.Scope)
}

// Notice is what the page says after a change, empty for nothing.
func (s *sheet) Notice() string {
	u, err := url.Parse(s.Path)
	if err != nil {
		return ""
	}
	text, ok := notices[u.Query().Get("done")]
	if !ok {
		return ""
	}
	return s.T(text)
}

// Back is this page without what the last change said.
func (s *sheet) Back() string {
	u, err := url.Parse(s.Path)
	if err != nil {
		return "/"
	}
	query := u.Query()
	query.Del("done")
	u.RawQuery = query.Encode()
	return u.String()
}
