package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/relogin/relogin/cmd/relogin/internal/letters"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/queue"
)

const (
	maxReason     = 500 // bytes
	maxPause      = 365 * settings.Day
	changeTimeout = 15 * time.Second
)

// notices are what a page says after a change, by what the change returns.
var notices = map[string]string{
	"paused": "Paused: no phone of these jobs asks. Confirmations that are open finish.", "resumed": "Resumed.",
	"replayed": "It is a job again.", "dropped": "It is dropped.", "begun": "It has begun.",
}

// changing serves a change, which returns what was done, and sends the browser back to a page.
func (c *Console) changing(change func(*view) (done string, err error)) func(*view) error {
	return func(v *view) error {
		done, err := change(v)
		if err != nil {
			return err
		}
		c.outdate()
		back, err := url.Parse(localPath(v.r.PostFormValue("back")))
		if err != nil {
			return err
		}
		query := back.Query()
		query.Set("done", done)
		back.RawQuery = query.Encode()
		http.Redirect(v.w, v.r, back.String(), http.StatusSeeOther)
		return nil
	}
}

// outdate has all be read anew.
func (c *Console) outdate() {
	c.overview.outdate()
	c.dead.outdate()
	c.trail.outdate()
}

// reason returns why somebody does something.
func (v *view) reason() (string, error) {
	text := strings.TrimSpace(v.r.PostFormValue("reason"))
	if text == "" || len(text) > maxReason || strings.ContainsFunc(text, unicode.IsControl) {
		return "", failure{http.StatusBadRequest, "Say why, in one line of at most 500 bytes."}
	}
	return text, nil
}

// target returns what the form names: a scope, or a lane, with a name.
func (v *view) target() queue.Target {
	scope, lane, isLane := strings.Cut(v.r.PostFormValue("scope"), " ")
	switch {
	case isLane:
		return queue.Target{Scope: queue.ScopeLane, Name: lane}
	case scope == string(queue.ScopeAll):
		return queue.Target{Scope: queue.ScopeAll}
	}
	return queue.Target{Scope: queue.Scope(scope), Name: v.r.PostFormValue("name")}
}

// finishing returns a context for a change, which goes on when the browser does not wait for it.
func (v *view) finishing() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(v.r.Context()), changeTimeout)
}

func (c *Console) pause(v *view) (string, error) {
	reason, err := v.reason()
	if err != nil {
		return "", err
	}
	p := queue.Pause{Target: v.target(), By: v.user.Name, Reason: reason, At: time.Now().UTC()}
	if length := v.r.PostFormValue("for"); length != "" {
		d, err := settings.ParseDuration(length)
		if err != nil || d < time.Second || d > maxPause {
			return "", failure{http.StatusBadRequest, "That can't be how long: want such as 30m, 8h or 2d."}
		}
		p.Until = p.At.Add(d)
	}
	ctx, cancel := v.finishing()
	defer cancel()
	err = c.Sources.Control.Pause(ctx, p)
	if errors.Is(err, queue.ErrInvalidTarget) {
		return "", failure{http.StatusBadRequest, "That can't be paused: name a tenant or an account, of 1 to 128 bytes."}
	}
	return "paused", err
}

func (c *Console) resume(v *view) (string, error) {
	ctx, cancel := v.finishing()
	defer cancel()
	reason := cut(strings.TrimSpace(v.r.PostFormValue("reason")), maxReason)
	_, err := c.Sources.Control.Resume(ctx, v.target(), v.user.Name, reason)
	switch {
	case errors.Is(err, queue.ErrNotPaused):
		return "", failure{http.StatusConflict, "It is not paused any more."}
	case errors.Is(err, queue.ErrInvalidTarget):
		return "", failure{http.StatusBadRequest, "That can't be paused: name a tenant or an account, of 1 to 128 bytes."}
	}
	return "resumed", err
}

// action returns what a form wants with dead letters.
func (v *view) action() (queue.Action, error) {
	a := queue.Action(v.r.FormValue("action"))
	if a != queue.ActionReplay && a != queue.ActionDrop {
		return "", failure{http.StatusBadRequest, "Dead letters are replayed or dropped, and nothing else."}
	}
	return a, nil
}

// change returns what a form wants with dead letters, and why.
func (v *view) change() (a queue.Action, reason string, err error) {
	if a, err = v.action(); err == nil {
		reason, err = v.reason()
	}
	return a, reason, err
}

var did = map[queue.Action]string{queue.ActionReplay: "replayed", queue.ActionDrop: "dropped"}

func (c *Console) changeLetter(v *view) (string, error) {
	action, reason, err := v.change()
	if err != nil {
		return "", err
	}
	l, err := c.letter(v)
	if err != nil {
		return "", err
	}
	ctx, cancel := v.finishing()
	defer cancel()
	what := "1 dead letters: " + v.r.PathValue("sequence")
	if err := c.Audit.Record(ctx, queue.AuditEntry{Action: action, By: v.user.Name, Reason: reason, What: what}); err != nil {
		return "", err
	}
	err = letters.Apply(c.Sources.Letters, action)(ctx, l)
	switch {
	case errors.Is(err, queue.ErrNoDeadLetter):
		return "", failure{http.StatusConflict, "There is no such dead letter."}
	case errors.Is(err, queue.ErrNotReplayable):
		return "", failure{http.StatusConflict, err.Error()}
	}
	return did[action], err
}
