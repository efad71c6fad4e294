package backend

import (
	"testing"
	"time"

	"github.com/relogin/relogin/cmd/relogin/internal/settings/settingstest"
)

func TestShortJobMemoryShortensTheDuplicateWindow(t *testing.T) {
	var c Streams
	if _, err := settingstest.Read(nil, []string{"--job-memory", "5s"}, nil, &c); err != nil {
		t.Fatal(err)
	}
	if got := c.DuplicateWindow; got != 5*time.Second {
		t.Errorf("got %s", got)
	}
}
