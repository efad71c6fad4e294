package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/cmd/relogin/internal/letters"
)

// bury stores dead letters.
func bury(t *testing.T, js jetstream.JetStream, lane, reason string, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		msg := &nats.Msg{Subject: "relogin.dead." + lane, Data: []byte(body), Header: nats.Header{"Relogin-Reason": {reason}, "X-Own": {"a\x1b[31m"}}}
		if _, err := js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
}

func letterOf(t *testing.T, text string) (l letters.Letter) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return l
}

func TestDeadLettersAreListedAndShown(t *testing.T) {
	environ, js := startStreams(t)
	if got := relogin(t, environ, "", "dead", "list"); got.status != exitDone || !strings.Contains(got.stdout, "no such dead letters") {
		t.Errorf("of none: %+v", got)
	}
	bury(t, js, "normal", `unknown tenant: "acme"`, `{"wcId":"a","id":"1","tenant":"acme"}`, `{"wcId":"b","id":"2","tenant":"acme"}`)
	bury(t, js, "urgent", "wrong\x1b[31m", "no job")
	got := relogin(t, environ, "", "dead", "list")
	if lines := strings.Split(got.stdout, "\n"); len(lines) != 3 || !strings.Contains(lines[0], "     2 ") || !strings.Contains(lines[0], `2 accounts  unknown tenant: "acme"  (relogin dead show 2)`) {
		t.Errorf("listed %s", got.stdout)
	}
	got = relogin(t, environ, "", "dead", "list", "--each", "--account", "b", "-o", "json")
	if l := letterOf(t, got.stdout); l.Sequence != 2 || l.JobID != "2" || l.Tenant != "acme" || l.Lane != "normal" {
		t.Errorf("listed %s", got.stdout)
	}
	for sequence, want := range map[string]string{"1": "\"wcId\": \"a\"", "3": `neither JSON nor msgpack: "no job"`} {
		got := relogin(t, environ, "", "dead", "show", sequence)
		if got.status != exitDone || !strings.Contains(got.stdout, want) || strings.Contains(got.stdout, "\x1b") {
			t.Errorf("letter %s is shown as %q, %s", sequence, got.stdout, got.stderr)
		}
	}
	if got := relogin(t, environ, "", "dead", "show", "4"); got.status != exitFailed || !strings.Contains(got.stderr, "no such dead letter") {
		t.Errorf("a letter that is not there: %+v", got)
	}
}

func TestDeadLettersAreReplayedAndDropped(t *testing.T) {
	environ, js := startStreams(t)
	left := func() string {
		t.Helper()
		got := relogin(t, environ, "", "dead", "list", "--each", "-o", "json")
		sequences := []uint64{}
		for line := range strings.Lines(got.stdout) {
			sequences = append(sequences, letterOf(t, line).Sequence)
		}
		return fmt.Sprint(sequences)
	}
	jobs := func() uint64 {
		t.Helper()
		stream, err := js.Stream(t.Context(), "RELOGIN_JOBS")
		if err != nil {
			t.Fatal(err)
		}
		return stream.CachedInfo().State.Msgs
	}
	bury(t, js, "normal", "odd", `{"wcId":"a","id":"1"}`, `{"wcId":"b","id":"2"}`, `{"wcId":"c","id":"3"}`)
	bury(t, js, "events", "odd", `{"id":"e"}`)

	for _, args := range [][]string{{"replay", "--account", "b", "--dry-run"}, {"drop", "--all", "--dry-run"}} {
		got := relogin(t, environ, "", append([]string{"dead"}, args...)...)
		if got.status != exitDone || left() != "[1 2 3 4]" || jobs() != 0 {
			t.Errorf("%v: %+v; left are %s", args, got, left())
		}
	}
	got := relogin(t, environ, "", "dead", "replay", "--account", "b")
	if got.status != exitDone || left() != "[1 3 4]" || jobs() != 1 || !strings.Contains(got.stderr, "replayed: 1, failed: 0") {
		t.Errorf("replayed: %+v; left are %s", got, left())
	}
	got = relogin(t, environ, "", "dead", "replay", "--all")
	if got.status != exitFailed || left() != "[4]" || jobs() != 3 || !strings.Contains(got.stderr, "it is no job") {
		t.Errorf("replayed all: %+v; left are %s", got, left())
	}
	if got := relogin(t, environ, "", "dead", "drop", "4", "--yes", "-o", "json"); got.status != exitDone || left() != "[]" || !strings.Contains(got.stdout, `"did":"dropped"`) {
		t.Errorf("dropped: %+v; left are %s", got, left())
	}
}

func TestWhichDeadLetters(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"dead"}, "a command is missing"},
		{[]string{"dead", "shwo"}, `unknown command "shwo"`},
		{[]string{"dead", "list", "1"}, "no arguments are taken"},
		{[]string{"dead", "show"}, "want one sequence"},
		{[]string{"dead", "show", "-1"}, "-1"},
		{[]string{"dead", "show", "x"}, "x is no sequence"},
		{[]string{"dead", "replay"}, "which of them?"},
		{[]string{"dead", "replay", "1", "--tenant", "acme"}, "not both"},
		{[]string{"dead", "drop", "--yes"}, "which of them?"},
		{[]string{"dead", "drop", "1"}, "add --yes"},
	} {
		if got := relogin(t, nil, "", test.args...); got.status != exitUsage || !strings.Contains(got.stderr, test.want) {
			t.Errorf("%v: %+v", test.args, got)
		}
	}
}
