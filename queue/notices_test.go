package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/job"
)

// journal keeps log lines.
type journal struct{ servers.Buffer }

// lines returns those that contain the text.
func (j *journal) lines(text string) (lines []string) {
	for line := range strings.Lines(j.String()) {
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return lines
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

func TestALostConnectionIsToldOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		n := notices{log: j.logger()}
		for range 125 { // seconds
			n.down(errors.New("refused"))
			time.Sleep(time.Second)
		}
		n.up("nats://a")
		if lost, back := j.lines("lost"), j.lines("again"); len(lost) != 3 || len(back) != 1 || !strings.Contains(back[0], "after=2m5s") || !strings.Contains(lost[2], "refused") {
			t.Errorf("%q, %q", lost, back)
		}
		for range 30 { // a connection that comes and goes
			n.down(errors.New("flapping"))
			time.Sleep(time.Second)
			n.up("nats://a")
			time.Sleep(time.Second)
		}
		lost, back := j.lines("flapping"), j.lines("again")
		if len(lost) != 1 || !strings.Contains(lost[0], "losses=29") || len(back) != 2 {
			t.Errorf("%q, %q", lost, back)
		}
	})
}

func TestTheSameErrorIsToldOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		n := notices{log: j.logger()}
		for range 61 {
			n.failed("a", errors.New("same"))
			n.failed("b", errors.New("same"))
			time.Sleep(time.Second)
		}
		a, b := j.lines("subject=a"), j.lines("subject=b")
		if len(a) != 2 || len(b) != 2 || !strings.Contains(a[0], "times=1 ") || !strings.Contains(a[1], "times=60 ") {
			t.Errorf("%q, %q", a, b)
		}
		for i := range 1000 {
			n.failed("", fmt.Errorf("%w: subject %d", nats.ErrPermissionViolation, i))
		}
		if got := j.lines("grant this user"); len(got) == 0 || len(got) > maxNewLines {
			t.Errorf("%d lines of different refusals", len(got))
		}
		time.Sleep(logEvery)
		n.failed("", errors.New("later"))
		if len(j.lines("later")) != 1 {
			t.Error("a line of a later minute is missing")
		}
	})
}

func TestAServerThatIsAwayForAMoment(t *testing.T) {
	s := servers.StartNATS(t, nil)
	var j journal
	nc, err := Connect(t.Context(), Options{URL: s.URL(), Logger: j.logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	s.Stop()
	servers.Eventually(t, "the loss to be told", func() bool { return len(j.lines("jobs and events wait")) == 1 })
	tries := nc.Stats().Reconnects
	time.Sleep(3 * reconnectWait) // a few tries that fail
	s.Start()
	servers.Eventually(t, "the return to be told", func() bool { return len(j.lines("jobs go on")) == 1 })
	if lines := j.lines(""); len(lines) != 2 || nc.Stats().Reconnects == tries {
		t.Errorf("%d lines: %q", len(lines), lines)
	}
}

// Whoever stores what is no event fills nobody's log.
func TestFollowTellsSeldomWhatItPassesOver(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	for range 50 {
		if _, err := q.js.Publish(t.Context(), "relogin.events.failed.a", []byte{0xc1}); err != nil {
			t.Fatal(err)
		}
	}
	store(t, q, "1")
	var j journal
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	o := FollowOptions{Namespace: "relogin", Since: time.Now().Add(-time.Hour), Logger: j.logger()}
	if err := Follow(ctx, nc, o, func(*job.Event) error { return errEnd }); !errors.Is(err, errEnd) {
		t.Fatal(err)
	}
	if lines := j.lines("passing over"); len(lines) != 1 {
		t.Errorf("%d lines", len(lines))
	}
}
