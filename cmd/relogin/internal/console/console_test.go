package console

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

// paths are those of all pages that only read.
func paths(account string) []string {
	return []string{"/", "/account", "/account?job=j&wcId=" + url.QueryEscape(account), "/jobs", "/dead", "/dead?has=x&account=" + url.QueryEscape(account), "/dead/1", "/audit"}
}

const hostile = `<script>alert("x")</script>'`

// No name and no text of others is taken for markup, in either language.
func TestNamesAreEscaped(t *testing.T) {
	w := newWorld(t)
	w.pod(hostile)
	w.die(hostile, fmt.Sprintf(`{"wcId":%q,"id":%[1]q,"tenant":%[1]q,"login":{"token":"s3cret","data":"s3cret"}}`, hostile))
	for _, scope := range []queue.Scope{queue.ScopeTenant, queue.ScopeAccount} {
		p := queue.Pause{Target: queue.Target{Scope: scope, Name: hostile}, By: hostile, Reason: hostile}
		if err := w.console.Sources.Control.Pause(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	e := &job.Event{JobID: hostile, WcID: hostile, Tenant: hostile, Worker: hostile, Result: job.Result{
		Outcome: job.Failed, Code: hostile, Message: hostile, SharedWith: hostile, FinishedAt: time.Now(), Login: &job.Login{Token: "s3cret", Data: "s3cret"},
	}}
	data, err := e.Encode(job.EncodingJSON)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.nc.Request("relogin.events.failed."+job.AccountToken(hostile), data, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	for _, path := range paths(hostile) {
		for _, lang := range []string{"en", "zh-CN"} {
			body := w.get(path, "Accept-Language", lang)
			if strings.Contains(body, "<script>") || strings.Contains(body, `alert("x")`) {
				t.Errorf("%s in %s has the script in it:\n%s", path, lang, body)
			}
			if strings.Contains(body, "s3cret") {
				t.Errorf("%s shows a login's secret", path)
			}
			if path != "/account" && !strings.Contains(body, "&lt;script&gt;") {
				t.Errorf("%s in %s does not show the name:\n%s", path, lang, body)
			}
		}
	}
}

// Every reply tells the browser to run nothing and to be framed by nobody.
func TestHeaders(t *testing.T) {
	w := newWorld(t)
	for _, path := range append(paths("a"), "/static/console.css", "/login", "/nothing") {
		reply, body := w.do(http.MethodGet, path, nil)
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
		} {
			if got := reply.Header.Get(name); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		if p := reply.Header.Get("Content-Security-Policy"); strings.Contains(p, "unsafe") || !strings.Contains(p, "frame-ancestors 'none'") {
			t.Errorf("%s: the policy is %s", path, p)
		}
		if strings.Contains(body, "<style") || strings.Contains(body, " style=") || strings.Contains(body, " onclick=") {
			t.Errorf("%s has what its policy forbids", path)
		}
	}
}

// However long names and texts are, and however many letters there are, a page is no larger than 300 kB.
func TestPagesAreSmall(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("<&\"", 10_000)
	for i := range 60 {
		kind := strings.Repeat("x", i+1) // each letter is a group of its own
		w.die(kind+long, fmt.Sprintf(`{"wcId":%q,"id":%[1]q,"tenant":%[1]q,"labels":{"x":%[1]q}}`, long))
	}
	w.pod(long[:3000])
	for _, path := range append(paths("a"), "/dead?page=2", "/dead?has=x", "/dead/all?action=drop") {
		body := w.get(path)
		if strings.Contains(body, "are being read") {
			servers.Eventually(t, "the letters to be read", func() bool { body = w.get(path); return !strings.Contains(body, "are being read") })
		}
		if len(body) > 300<<10 {
			t.Errorf("%s has %d bytes", path, len(body))
		}
	}
}

// Many who look cost no more readings than one.
func TestReadingsAreShared(t *testing.T) {
	w := newWorld(t)
	asked := make(chan struct{}, 1000)
	stop, err := queue.ServePod(t.Context(), w.nc, "relogin", queue.PodService{
		Pod: "a", State: func() any { asked <- struct{}{}; return worker.PodState{Pod: "a"} },
		Account: func(string) any { return worker.PodJobs{} }, LookAgain: func(string, string) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	from := time.Now()
	done := make(chan struct{})
	for range 50 {
		go func() {
			defer func() { done <- struct{}{} }()
			reply, err := http.Get(w.url + "/")
			if err == nil {
				_ = reply.Body.Close()
			}
		}()
	}
	for range 50 {
		<-done
	}
	if most := 1 + int(time.Since(from)/overviewEvery); len(asked) > most || len(asked) == 0 {
		t.Errorf("the pod was asked %d times within %v", len(asked), time.Since(from))
	}
}
