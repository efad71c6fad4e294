package console

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/test/servers"
)

// changes are all that can be changed, with forms that are right.
var changes = map[string]url.Values{
	"/pause":    {"scope": {"all"}, "reason": {"a test"}},
	"/resume":   {"scope": {"all"}},
	"/dead/1":   {"action": {"drop"}, "reason": {"a test"}},
	"/dead/all": {"action": {"drop"}, "reason": {"a test"}, "last": {"1"}},
}

// entries returns the audit.
func (w *world) entries() []queue.AuditEntry {
	w.t.Helper()
	all, err := w.console.Audit.Last(w.t.Context(), 100)
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

func (w *world) letters() int {
	w.t.Helper()
	n, err := w.console.Sources.Letters.Count(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return int(n)
}

// Viewers, strangers and other sites change nothing, and see nothing to change it with.
func TestOnlyOperatorsChange(t *testing.T) {
	w := newWorld(t, user(t, "anna", Operator), user(t, "bo", Viewer))
	w.die("x", "{}")
	untouched := func(who string) {
		t.Helper()
		if n := len(w.entries()); n != 0 || w.letters() != 1 {
			t.Errorf("%s: %d entries in the audit, %d letters", who, n, w.letters())
		}
	}
	for path, form := range changes {
		if reply, _ := w.do(http.MethodPost, path, form); reply.Request.URL.Path != "/login" {
			t.Errorf("a stranger's %s: %s", path, reply.Status)
		}
	}
	untouched("a stranger")
	w.logIn("bo", "bo")
	for path, form := range changes {
		if reply, _ := w.do(http.MethodPost, path, form); reply.StatusCode != http.StatusForbidden {
			t.Errorf("a viewer's %s: %s", path, reply.Status)
		}
	}
	for _, path := range append(paths("a"), "/dead/all?action=drop") {
		if _, body := w.do(http.MethodGet, path, nil); strings.Contains(body, `action="/pause`) || strings.Contains(body, `href="/dead/all`) || strings.Contains(body, `class="change"`) {
			t.Errorf("%s offers a viewer to change something", path)
		}
	}
	untouched("a viewer")
	w.browser = newBrowser(t)
	w.logIn("anna", "anna")
	for path, form := range changes {
		if reply, _ := w.do(http.MethodPost, path, form, "Sec-Fetch-Site", "cross-site"); reply.StatusCode != http.StatusForbidden {
			t.Errorf("another site's %s: %s", path, reply.Status)
		}
	}
	untouched("another site")
}

// A pause is made and lifted, with the user's name and the reason in the audit.
func TestPauseAndResume(t *testing.T) {
	w := newWorld(t, user(t, "anna", Operator))
	w.logIn("anna", "anna")
	for _, form := range []url.Values{
		{"scope": {"all"}, "reason": {"why"}}, {"scope": {"lane urgent"}, "reason": {"why"}}, {"scope": {"tenant"}, "name": {"acme"}, "reason": {"why"}, "for": {"30m"}},
		{"scope": {"account"}, "name": {"wxid_1"}, "reason": {"why"}, "for": {"1d"}},
	} {
		form.Set("back", "/account?wcId=wxid_1")
		reply, body := w.do(http.MethodPost, "/pause", form)
		if reply.StatusCode != http.StatusOK || reply.Request.URL.Path != "/account" || !strings.Contains(body, "no phone of these jobs asks") {
			t.Errorf("%v: %s, %s", form, reply.Status, reply.Request.URL)
		}
	}
	all, err := w.console.Sources.Control.Pauses(t.Context())
	if err != nil || len(all) != 4 {
		t.Fatalf("%d pauses, %v", len(all), err)
	}
	for _, p := range all {
		if p.By != "anna" || p.Reason != "why" {
			t.Errorf("%+v", p)
		}
	}
	if body := w.get("/"); strings.Count(body, `action="/resume"`) != 4 || !strings.Contains(body, "<strong>everything</strong>") {
		t.Errorf("the overview:\n%s", body)
	}
	if reply, _ := w.do(http.MethodPost, "/resume", url.Values{"scope": {"lane urgent"}}); reply.StatusCode != http.StatusOK {
		t.Errorf("resume: %s", reply.Status)
	}
	if reply, _ := w.do(http.MethodPost, "/resume", url.Values{"scope": {"lane urgent"}}); reply.StatusCode != http.StatusConflict {
		t.Errorf("resume again: %s", reply.Status)
	}
	if body := w.get("/audit"); strings.Count(body, "<td>anna</td>") != 5 || strings.Count(body, ">why</td>") != 4 {
		t.Errorf("the audit:\n%s", body)
	}
}

// What can't be meant is refused, and not in the audit.
func TestWrongForms(t *testing.T) {
	w := newWorld(t)
	w.die("x", "{}")
	for _, test := range []struct {
		path string
		form url.Values
	}{
		{"/pause", url.Values{"scope": {"all"}}}, {"/pause", url.Values{"scope": {"all"}, "reason": {"two\nlines"}}}, {"/pause", url.Values{"scope": {"all"}, "reason": {strings.Repeat("x", 501)}}},
		{"/pause", url.Values{"scope": {"tenant"}, "reason": {"x"}}}, {"/pause", url.Values{"scope": {"galaxy"}, "reason": {"x"}}}, {"/pause", url.Values{"scope": {"lane slow"}, "reason": {"x"}}},
		{"/pause", url.Values{"scope": {"all"}, "reason": {"x"}, "for": {"soon"}}}, {"/pause", url.Values{"scope": {"all"}, "reason": {"x"}, "for": {"9999d"}}},
		{"/resume", url.Values{"scope": {"tenant"}}}, {"/dead/1", url.Values{"action": {"burn"}, "reason": {"x"}}}, {"/dead/1", url.Values{"action": {"drop"}}},
		{"/dead/all", url.Values{"action": {"drop"}, "reason": {"x"}}}, {"/dead/all", url.Values{"action": {"drop"}, "last": {"1"}}},
	} {
		if reply, _ := w.do(http.MethodPost, test.path, test.form); reply.StatusCode != http.StatusBadRequest {
			t.Errorf("%s with %v: %s", test.path, test.form, reply.Status)
		}
	}
	if n := len(w.entries()); n != 0 || w.letters() != 1 {
		t.Errorf("%d entries in the audit, %d letters", n, w.letters())
	}
}

// One letter is brought back or dropped.
func TestOneLetter(t *testing.T) {
	w := newWorld(t)
	w.die("x", `{"wcId":"a","id":"1"}`)
	w.die("x", `{"wcId":"b","id":"2"}`)
	if body := w.get("/dead/1"); !strings.Contains(body, "&#34;wcId&#34;: &#34;a&#34;") {
		t.Errorf("the body is not shown:\n%s", body)
	}
	for path, action := range map[string]string{"/dead/1": "replay", "/dead/2": "drop"} {
		reply, body := w.do(http.MethodPost, path, url.Values{"action": {action}, "reason": {"mended"}, "back": {"/dead"}})
		if reply.StatusCode != http.StatusOK || reply.Request.URL.Path != "/dead" || !strings.Contains(body, `class="notice"`) {
			t.Errorf("%s: %s, %s", action, reply.Status, reply.Request.URL)
		}
		if reply, _ := w.do(http.MethodPost, path, url.Values{"action": {action}, "reason": {"mended"}}); reply.StatusCode != http.StatusNotFound {
			t.Errorf("%s again: %s", action, reply.Status)
		}
	}
	o, err := w.console.Sources.Overview(t.Context())
	if err != nil || o.DeadLetters != 0 || o.Lanes[1].Jobs != 1 {
		t.Errorf("after that: %+v, %v", o, err)
	}
	for _, e := range w.entries() {
		if e.By != "me@here" || e.Reason != "mended" {
			t.Errorf("audit: %+v", e)
		}
	}
}

// All letters that a filter chooses are dropped, as many as the preview has said: not those that
// came after it.
func TestManyLetters(t *testing.T) {
	w := newWorld(t)
	for i := range 120 {
		w.die([]string{"odd", "even"}[i%2], fmt.Sprintf(`{"wcId":"a%d","id":"%d"}`, i, i))
	}
	body := w.get("/dead")
	for _, want := range []string{"Page 1 of 3", "Letters, the newest first <small>120<", `href="/dead?page=2"`, ">odd</a>", ">even</a>"} {
		if !strings.Contains(body, want) {
			t.Errorf("the list has no %q:\n%s", want, body)
		}
	}
	if body := w.get("/dead?has=ODD&page=9"); !strings.Contains(body, "Page 2 of 2") || !strings.Contains(body, ">1</a>") || strings.Contains(body, ">even<") {
		t.Errorf("the filtered list:\n%s", body)
	}
	if body := w.get("/dead/all?action=drop&has=odd"); !strings.Contains(body, "Drop (60)") || !strings.Contains(body, `name="last" value="120"`) {
		t.Errorf("the preview:\n%s", body)
	}
	w.die("odd", "{}")
	w.do(http.MethodPost, "/dead/all", url.Values{"action": {"drop"}, "has": {"odd"}, "last": {"120"}, "reason": {"noise"}, "back": {"/dead"}})
	servers.Eventually(t, "60 letters to be dropped", func() bool { return !w.console.bulk.state().Running })
	if s := w.console.bulk.state(); s.Done != 60 || s.Failed != 0 || w.letters() != 61 {
		t.Errorf("%+v, and %d letters are left", s, w.letters())
	}
	if all := w.entries(); len(all) != 1 || all[0].Action != queue.ActionDrop || all[0].Reason != "noise" || all[0].What != `dead letters with reason "odd", up to number 120` {
		t.Errorf("the audit: %+v", all)
	}
	servers.Eventually(t, "the list to be read anew", func() bool { return strings.Contains(w.get("/dead"), "<small>61<") })
}
