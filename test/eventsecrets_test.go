package test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

// curveKeys returns a receiver of sealed secrets, and its public key.
func curveKeys(t *testing.T) (nkeys.KeyPair, string) {
	t.Helper()
	pair, err := nkeys.CreateCurveKeys()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return pair, public
}

// unseal opens what is sealed as seal:<public xkey of the sender>:<base64url>.
func unseal(t *testing.T, receiver nkeys.KeyPair, sealed string) string {
	t.Helper()
	parts := strings.Split(sealed, ":")
	if len(parts) != 3 || parts[0] != "seal" || !nkeys.IsValidPublicCurveKey(parts[1]) {
		t.Fatalf("%q is not sealed", sealed)
	}
	box, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	text, err := receiver.Open(box, parts[1])
	if err != nil {
		t.Fatalf("open %q: %v", sealed, err)
	}
	return string(text)
}

// Each form through the binary: for the job that prompted, for those that share its
// outcome, and for one that another worker ends by what Redis remembers.
func TestEventSecrets(t *testing.T) {
	receiver, public := curveKeys(t)
	for mode, open := range map[string]func(*testing.T, string) string{
		"include":        func(_ *testing.T, s string) string { return s },
		"omit":           nil,
		"seal:" + public: func(t *testing.T, s string) string { return unseal(t, receiver, s) },
	} {
		name, _, _ := strings.Cut(mode, ":")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuarded(t)
			g.env = append(g.env, "RELOGIN_EVENT_SECRETS="+mode)
			w := g.worker()
			g.share(w)
			g.remembered(name, "hot")
			var events []*job.Event
			for _, id := range []string{"hot", "second", "third"} {
				events = append(events, g.event(id))
			}
			if events[1].SharedWith != "hot" || events[2].SharedWith != "hot" {
				t.Errorf("not shared: %+v, %+v", events[1], events[2])
			}
			events = append(events, g.redeliver(name, w))
			for _, e := range events {
				checkLogin(t, e, open)
			}
			g.check(4)
			silent(t, "the log", w.Log())
		})
	}
}

// checkLogin sees that the event's login can be opened, and has nothing where nothing
// may be.
func checkLogin(t *testing.T, e *job.Event, open func(*testing.T, string) string) {
	t.Helper()
	switch {
	case e.Login == nil || !strings.HasPrefix(e.Login.WID, "fake0000"):
		t.Errorf("%s: no login: %+v", e.JobID, e)
	case open == nil && (e.Login.Token != "" || e.Login.Data != ""):
		t.Errorf("%s: the secrets are there: %+v", e.JobID, e.Login)
	case open != nil:
		token, data := open(t, e.Login.Token), open(t, e.Login.Data)
		if !strings.HasPrefix(token, "FAKE-TOKEN-") || !strings.HasPrefix(data, "FAKE-DATA-") {
			t.Errorf("%s: token %q, data %q", e.JobID, token, data)
		}
	}
}

// share makes two jobs wait for the confirmation of a third, and answers that.
func (g *guarded) share(w *servers.Process) {
	g.t.Helper()
	g.gateway.Set("hot", gatewaytest.Behaviour{Manual: true})
	g.publish([]byte(`{"wcId":"hot","id":"hot"}`), nil)
	if err := g.gateway.WaitOpen(g.t.Context(), "hot"); err != nil {
		g.t.Fatal(err)
	}
	g.publish([]byte(`{"wcId":"hot","id":"second"}`), nil)
	g.publish([]byte(`{"wcId":"hot","id":"third"}`), nil)
	g.parked([]*servers.Process{w}, 2)
	g.gateway.Answer("hot", gatewaytest.Confirm)
	g.event("third")
	g.event("second")
}

// remembered sees that Redis holds the account's login, and its secrets only where they
// are included in events.
func (g *guarded) remembered(mode, account string) {
	g.t.Helper()
	keys := g.keys()
	if !strings.Contains(keys, g.gateway.Account(account).WID) {
		g.t.Errorf("Redis does not remember the login of %s:\n%q", account, keys)
	}
	for _, secret := range []string{"FAKE-TOKEN", "FAKE-DATA"} {
		if strings.Contains(keys, secret) != (mode == "include") {
			g.t.Errorf("Redis with --event-secrets %s:\n%q", mode, keys)
		}
	}
}

// redeliver kills the worker between the result and the event, and returns the event
// that another one publishes.
func (g *guarded) redeliver(mode string, w *servers.Process) *job.Event {
	g.t.Helper()
	name := strings.ToUpper(g.name) + "_EVENTS"
	stream, err := g.js.Stream(g.t.Context(), name)
	if err != nil {
		g.t.Fatal(err)
	}
	limit := func(events int64) {
		config := stream.CachedInfo().Config
		config.MaxMsgs = events
		if _, err := g.js.UpdateStream(g.t.Context(), config); err != nil {
			g.t.Fatal(err)
		}
	}
	limit(3) // it is full
	g.publish([]byte(`{"wcId":"kept","id":"kept"}`), nil)
	w.WaitForLog("storing events fails")
	g.remembered(mode, "kept")
	w.Kill()
	limit(-1)
	g.worker()
	e := g.event("kept")
	if e.Attempts < 2 || !e.Prompted || g.gateway.Account("kept").Prompts != 1 {
		g.t.Errorf("not the redelivered job's: %+v", e)
	}
	return e
}

// The online list has no secrets: nothing is sealed then.
func TestEventSecretsOfAReconciledLogin(t *testing.T) {
	_, public := curveKeys(t)
	s := newSetting(t, gatewaytest.Options{})
	s.env = append(s.env, "RELOGIN_EVENT_SECRETS=seal:"+public)
	s.worker()
	s.publish([]byte(`{"wcId":"reset-1","id":"lost"}`), nil)
	e := s.event("lost")
	if !e.Reconciled || e.Login == nil || e.Login.WID == "" || e.Login.Token != "" || e.Login.Data != "" {
		t.Errorf("%+v, login %+v", e, e.Login)
	}
}

// A key that can't be sealed to is refused before anything starts, and not shown: it
// may be the private one.
func TestEventSecretsWrongKey(t *testing.T) {
	pair, public := curveKeys(t)
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	other, _ := user.PublicKey()
	for name, key := range map[string]string{
		"private": string(seed), "another kind": other, "cut off": public[:len(public)-1], "lower case": strings.ToLower(public), "none": "",
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := run(t, nil, "", "worker", "--event-secrets", "seal:"+key)
			if status != 2 || !strings.Contains(stderr, "--event-secrets") || !strings.Contains(stderr, "public xkey") {
				t.Errorf("exit status %d:\n%s", status, stderr)
			}
			if key != "" && strings.Contains(stdout+stderr, key) {
				t.Errorf("it shows the key:\n%s", stderr)
			}
		})
	}
	if status, _, stderr := run(t, nil, "", "worker", "--event-secrets", "sealed"); status != 2 || !strings.Contains(stderr, "include, omit or seal:") {
		t.Errorf("exit status %d:\n%s", status, stderr)
	}
}
