package console

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/crypto/bcrypt"

	"github.com/relogin/relogin/cache"
	"github.com/relogin/relogin/cmd/relogin/internal/cockpit"
	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

// world is a console on real servers, and a browser before it.
type world struct {
	t       *testing.T
	nc      *nats.Conn
	console *Console
	url     string
	browser *http.Client
}

// newWorld returns a console with these users.
func newWorld(t *testing.T, users ...User) *world {
	t.Helper()
	w := &world{t: t, nc: servers.ConnectNATS(t, servers.NATS(t))}
	log := slog.New(slog.DiscardHandler)
	c := queue.Config{Namespace: "relogin", Replicas: 1, AckWait: time.Minute, EventMaxAge: time.Hour, DeadMaxAge: time.Hour, AuditMaxAge: time.Hour, JobMemory: time.Minute, DuplicateWindow: time.Minute, Logger: log}
	if err := queue.Setup(t.Context(), w.nc, c); err != nil {
		t.Fatal(err)
	}
	sources, err := cockpit.Open(t.Context(), w.nc, "relogin")
	if err != nil {
		t.Fatal(err)
	}
	sources.Redis, err = cache.OpenInspector(cache.Options{URL: servers.EmbeddedRedis(t), Namespace: "relogin", Pod: "console", Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sources.Redis.Close() })
	record, err := queue.OpenAudit(w.nc, "relogin")
	if err != nil {
		t.Fatal(err)
	}
	if w.console, err = New(Options{Sources: sources, Audit: record, Users: users, By: "me@here", Log: log}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w.console.Handler())
	t.Cleanup(func() { server.Close(); w.console.Close() })
	w.url, w.browser = server.URL, newBrowser(t)
	return w
}

func newBrowser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Timeout: time.Minute}
}

// user returns a user whose password is the name.
func user(t *testing.T, name string, role Role) User {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(name), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return User{name, role, string(hash)}
}

// do sends a request, and returns the reply with its body.
func (w *world) do(method, path string, form url.Values, headers ...string) (*http.Response, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		if r.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	reply, err := w.browser.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return reply, string(body)
}

// get returns a page that must be there.
func (w *world) get(path string, headers ...string) string {
	w.t.Helper()
	reply, body := w.do(http.MethodGet, path, nil, headers...)
	if reply.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: %s\n%s", path, reply.Status, body)
	}
	return body
}

// logIn logs in with the name as the password, and returns the reply's status.
func (w *world) logIn(name, password string) int {
	w.t.Helper()
	reply, _ := w.do(http.MethodPost, "/login", url.Values{"name": {name}, "password": {password}})
	return reply.StatusCode
}

// die stores a dead letter.
func (w *world) die(reason string, body string) {
	w.t.Helper()
	msg := &nats.Msg{Subject: "relogin.dead.normal", Data: []byte(body), Header: nats.Header{"Relogin-Reason": {reason}, "Relogin-Stream": {"RELOGIN_JOBS"}}}
	if _, err := w.nc.RequestMsg(msg, 10*time.Second); err != nil {
		w.t.Fatal(err)
	}
}

// pod answers as a pod with that name everywhere, until the test ends.
func (w *world) pod(name string) {
	w.t.Helper()
	now := time.Now()
	j := worker.JobStatus{JobID: name, WcID: name, Tenant: name, Lane: job.Urgent, Activity: worker.Activity{Doing: worker.Asking, Since: now, Until: now.Add(time.Minute)}}
	state := worker.PodState{Pod: name, Version: name, StartedAt: now, Now: now, Trouble: []string{name}, Settings: map[string]string{"x": name}, Status: worker.Status{
		Open: 1, Concurrency: 5, Confirmations: []worker.JobStatus{j}, Waiting: map[worker.Reason]int{worker.Reason(name): 3, worker.WaitsForSlot: 4},
		Gateways: []worker.GatewayState{{Address: name, Open: true, LastError: name}}, Refused: []worker.RefusedState{{Tenant: name, Since: now, Error: name}},
		Minutes: []worker.Minute{{From: now.Truncate(time.Minute), Outcomes: map[job.Outcome]int{job.Succeeded: 7, job.Failed: 1, job.Outcome(name): 2}}},
	}}
	stop, err := queue.ServePod(w.t.Context(), w.nc, "relogin", queue.PodService{
		Pod: "x", State: func() any { return state }, Account: func(string) any { return worker.PodJobs{Pod: name, Jobs: []worker.JobStatus{j}} },
		LookAgain: func(string, string) {},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(stop)
}
