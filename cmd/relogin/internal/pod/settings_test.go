package pod

import (
	"testing"
	"time"

	"github.com/relogin/relogin/cmd/relogin/internal/backend"
	"github.com/relogin/relogin/cmd/relogin/internal/logging"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/cmd/relogin/internal/settings/settingstest"
	"github.com/relogin/relogin/worker/job"
)

// tryOn reads the settings of the groups, as a command would. All of a pod's are known.
func tryOn(environ, args []string, groups ...settings.Group) (*settings.Settings, error) {
	var s Settings
	var log logging.Settings
	return settingstest.Read(environ, args, []settings.Group{
		&s.NATS, &s.Streams, &s.Setup, &s.Redis, &s.Gateway, &s.Pipeline, &s.Output, &log,
	}, groups...)
}

func TestDefaults(t *testing.T) {
	var p PipelineSettings
	var c backend.Streams
	var o OutputSettings
	if _, err := tryOn(nil, nil, &p, &c, &o); err != nil {
		t.Fatal(err)
	}
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
	var p PipelineSettings
	if _, err := tryOn(nil, []string{"--shutdown-grace", "0", "--max-parked", "0", "--pod", "p"}, &p); err != nil {
		t.Fatal(err)
	}
	if p.ShutdownGrace != 0 || p.MaxParked != 0 || p.Pod != "p" {
		t.Errorf("got %+v", p)
	}
}
