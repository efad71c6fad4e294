package worker

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestOutageIsToldOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		o := outage{log: slog.New(slog.NewTextHandler(&log, nil)), fails: "it fails", works: "it works"}
		o.worked()
		for range 45_000 { // in a minute and a half
			o.failed(errors.New("connection refused"))
			time.Sleep(2 * time.Millisecond)
		}
		if !o.total() {
			t.Error("nothing works, and it is not total")
		}
		o.worked()
		if o.total() {
			t.Error("it works, and is total")
		}
		got := log.String()
		if strings.Count(got, "it fails") != 2 || strings.Count(got, "it works") != 1 || !strings.Contains(got, "after=1m30s") {
			t.Errorf("log:\n%s", got)
		}
	})
}

// A part that fails while others work makes no storm of pairs of lines.
func TestOutageOfAPartIsToldOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		o := outage{log: slog.New(slog.NewTextHandler(&log, nil)), fails: "it fails", works: "it works"}
		for range 1000 {
			o.failed(errors.New("CLUSTERDOWN"))
			o.worked()
			time.Sleep(100 * time.Millisecond)
		}
		if lines := strings.Count(log.String(), "\n"); lines > 4 {
			t.Errorf("%d lines in 100 s:\n%s", lines, log.String())
		}
	})
}
