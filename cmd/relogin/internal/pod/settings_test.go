package pod

import (
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/logging"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/worker/job"
)

// read reads all settings of a pod, as a command would.
func read(args ...string) (s Settings, err error) {
	var log logging.Settings
	root := &cobra.Command{SilenceErrors: true, SilenceUsage: true}
	cmd := &cobra.Command{Use: "worker", Args: cobra.NoArgs, Run: func(*cobra.Command, []string) {}}
	root.AddCommand(cmd)
	root.SetArgs(append([]string{"worker"}, args...))
	settings.Declare(cmd, nil, &s.NATS, &s.Streams, &s.Setup, &s.Redis, &s.Gateway, &s.Pipeline, &s.Output, &log)
	err = root.Execute()
	return s, err
}

func TestDefaults(t *testing.T) {
	s, err := read()
	if err != nil {
		t.Fatal(err)
	}
	p, c, o := &s.Pipeline, &s.Streams, &s.Output
	if p.ShutdownGrace != p.ConfirmTimeout+30*time.Second || p.MaxParked != 16*2048 || p.Pod == "" {
		t.Errorf("computed defaults: %+v", p)
	}
	if c.DuplicateWindow != 2*time.Minute || c.EventMaxAge != 7*settings.Day {
		t.Errorf("streams: %+v", c)
	}
	login := job.Login{Token: "token", Data: "data"}
	if o.Protect(&login); login.Token != "token" || login.Data != "data" || o.HTTPAddr != "" {
		t.Errorf("output: %+v", o)
	}
}

func TestComputedDefaultsYield(t *testing.T) {
	s, err := read("--shutdown-grace", "0", "--max-parked", "0", "--pod", "p")
	if err != nil {
		t.Fatal(err)
	}
	p := &s.Pipeline
	if p.ShutdownGrace != 0 || p.MaxParked != 0 || p.Pod != "p" {
		t.Errorf("got %+v", p)
	}
}

func TestShortJobMemoryShortensTheDuplicateWindow(t *testing.T) {
	s, err := read("--job-memory", "5s")
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Streams.DuplicateWindow; got != 5*time.Second {
		t.Errorf("got %s", got)
	}
}
