package cli

import (
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"gotest.tools/v3/golden"

	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/test/servers"
)

// startStreams returns the environment of a server that has the streams, and what changes
// them apart from relogin.
func startStreams(t *testing.T) (environ []string, js jetstream.JetStream) {
	t.Helper()
	url := servers.NATS(t)
	environ = []string{"RELOGIN_NATS_URL=" + url, "RELOGIN_LOG_FORMAT=text"}
	if got := relogin(t, environ, "", "setup"); got.status != exitDone || !strings.Contains(got.stdout, "as the settings say") {
		t.Fatal(got)
	}
	nc, err := queue.Connect(t.Context(), queue.Options{URL: url, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	return environ, js
}

// editStream changes a stream's config.
func editStream(t *testing.T, js jetstream.JetStream, name string, how func(*jetstream.StreamConfig)) {
	t.Helper()
	stream, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	how(&config)
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
}

// loseJobs has the jobs stream lose jobs, and a consumer differ.
func loseJobs(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	editStream(t, js, "RELOGIN_JOBS", func(c *jetstream.StreamConfig) {
		c.MaxAge, c.Duplicates, c.MaxMsgs, c.Discard = 2*time.Second, 2*time.Second, 5, jetstream.DiscardOld
	})
	consumer, err := js.Consumer(t.Context(), "RELOGIN_JOBS", "urgent")
	if err != nil {
		t.Fatal(err)
	}
	config := consumer.CachedInfo().Config
	config.AckWait = time.Minute
	if _, err := js.UpdateConsumer(t.Context(), "RELOGIN_JOBS", config); err != nil {
		t.Fatal(err)
	}
}

func TestSetupTellsAndMends(t *testing.T) {
	environ, js := startStreams(t)
	loseJobs(t, js)
	var text strings.Builder
	for _, step := range []struct {
		args   string
		status int
	}{
		{"setup --check --event-max-age 30d", exitFailed},
		{"setup", exitFailed},
		{"setup --check -o json", exitFailed},
		{"setup --update", exitDone},
		{"setup --check", exitDone},
		{"setup", exitDone},
		{"setup --check --job-memory 30s", exitFailed},
		{"setup --dead-max-age 40d", exitDone}, // it differs, and harms nothing
		{"setup --check --dead-max-age 40d", exitFailed},
		{"setup --update -o json --dead-max-age 40d", exitDone},
		{"setup --check -o json --dead-max-age 40d", exitDone},
	} {
		got := relogin(t, environ, "", strings.Fields(step.args)...)
		if got.status != step.status || got.stderr != "" {
			t.Errorf("%s: status %d; %s", step.args, got.status, got.stderr)
		}
		text.WriteString("$ relogin " + step.args + "\n" + got.stdout)
	}
	golden.Assert(t, text.String(), "setup.txt")
}

func TestSetupCheckCreatesNothing(t *testing.T) {
	environ := []string{"RELOGIN_NATS_URL=" + servers.NATS(t)}
	for range 2 {
		got := relogin(t, environ, "", "setup", "--check", "-o", "json")
		if got.status != exitFailed || len(lines(got.stdout)) != 8 {
			t.Errorf("%+v", got)
		}
		for _, line := range lines(got.stdout) {
			var f queue.Finding
			if err := json.Unmarshal([]byte(line), &f); err != nil || f.Severity != queue.Missing || f.Remedy != "relogin setup" {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
}

// A worker that does not set up checks all the same, before it takes a job.
func TestWorkerRefusesWhatLosesJobs(t *testing.T) {
	environ, js := startStreams(t)
	loseJobs(t, js)
	for _, args := range [][]string{{"worker", "--no-setup"}, {"worker"}} {
		got := relogin(t, environ, "", args...)
		if got.status != exitFailed {
			t.Errorf("%v: status %d", args, got.status)
		}
		for _, want := range []string{"has max_age 2s", "has max_msgs 5", "relogin setup --update"} {
			if !strings.Contains(got.stderr, want) {
				t.Errorf("%v: %q is not in %s", args, want, got.stderr)
			}
		}
		if strings.Contains(got.stderr, "ack_wait") {
			t.Errorf("%v: what only differs stops it: %s", args, got.stderr)
		}
	}
}

func TestWorkerOfAnotherNamespace(t *testing.T) {
	environ, _ := startStreams(t)
	for _, args := range []string{
		"worker --no-setup", "worker", "setup", "setup --check", "setup --update",
	} {
		got := relogin(t, environ, "", append(strings.Fields(args), "--namespace", "Relogin")...)
		if got.status != exitFailed || !strings.Contains(got.stderr, "that of namespace relogin") || got.stdout != "" {
			t.Errorf("%s: %+v", args, got)
		}
	}
}
