//go:build linux

package faults

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/relogin/relogin/test/servers"
)

// program is what the tests run.
type program struct{ relogin, nats, redis string }

// build compiles relogin, with its fail-points and a wall clock that can be off, and the
// NATS server of go.mod's version.
func build(dir string) (p program, err error) {
	if p.redis, err = exec.LookPath("redis-server"); err != nil {
		return p, err
	}
	if p.nats, err = servers.BuildNATS(dir); err != nil {
		return p, err
	}
	overlay, err := overlayClock(dir)
	if err != nil {
		return p, fmt.Errorf("overlay the clock: %w", err)
	}
	p.relogin, err = servers.Build(dir, "-trimpath", "-tags", "faults", "-overlay", overlay)
	return p, err
}

// clockOff moves the wall clock of a process, and only that: its monotonic clock goes on
// as it does when somebody sets a machine's time.
const clockOff = `
var clockOff = func() (seconds int64) {
	text, _ := syscall.Getenv("RELOGIN_CLOCK_OFF")
	for _, digit := range text {
		if digit >= '0' && digit <= '9' {
			seconds = seconds*10 + int64(digit-'0')
		}
	}
	if text != "" && text[0] == '-' {
		return -seconds
	}
	return seconds
}()
`

// overlayClock writes a package time whose Now adds RELOGIN_CLOCK_OFF seconds, and
// returns the file that tells the compiler of it. A toolchain that go itself has loaded
// is used by another name from here on: no file beneath GOMODCACHE may be replaced.
func overlayClock(dir string) (string, error) {
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	root := filepath.Join(dir, "goroot")
	if err := os.Symlink(strings.TrimSpace(string(goroot)), root); err != nil {
		return "", err
	}
	for key, value := range map[string]string{"GOROOT": root, "GOTOOLCHAIN": "local"} {
		if err := os.Setenv(key, value); err != nil {
			return "", err
		}
	}
	original := filepath.Join(root, "src", "time", "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	text := string(source)
	for _, edit := range [][2]string{
		{"func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n", "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n\tsec += clockOff\n"},
		{"import (\n", "import (\n\t\"syscall\"\n"},
	} {
		if !strings.Contains(text, edit[0]) {
			return "", fmt.Errorf("%s has no %q", original, edit[0])
		}
		text = strings.Replace(text, edit[0], edit[1], 1)
	}
	changed := filepath.Join(dir, "time.go")
	if err := os.WriteFile(changed, []byte(text+clockOff), 0o600); err != nil {
		return "", err
	}
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{original: changed}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, list, 0o600)
}
