package test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/relogin/relogin/test/servers"
)

// onlyDev are the modules and packages that development alone needs.
var onlyDev = []string{
	"github.com/nats-io/nats-server", "github.com/alicebob/miniredis", "github.com/yuin/gopher-lua",
	"github.com/relogin/relogin/worker/gateway/gatewaytest",
}

// dependencies returns the packages that relogin is built from, a line each.
func dependencies(t *testing.T, flags ...string) string {
	t.Helper()
	args := append([]string{"list", "-deps"}, flags...)
	out, err := exec.Command("go", append(args, "github.com/relogin/relogin/cmd/relogin")...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return string(out)
}

// The image that runs in production carries no server of its own: scanners would report
// the vulnerabilities of all of them against each worker.
func TestProductionBuildEmbedsNoServers(t *testing.T) {
	usual, production := dependencies(t), dependencies(t, "-tags", "nodev")
	for _, path := range onlyDev {
		if !strings.Contains(usual, path) {
			t.Errorf("the usual build lacks %s: is that its name?", path)
		}
		if strings.Contains(production, path) {
			t.Errorf("the production build has %s", path)
		}
	}
	if !strings.Contains(production, "github.com/relogin/relogin/worker\n") {
		t.Error("the production build has no worker")
	}
}

// Who looks for a command that is left out is told where it is.
func TestProductionBuildNamesWhatItLeavesOut(t *testing.T) {
	servers.SkipIfShort(t, "it builds relogin once more")
	production, err := servers.Build(t.TempDir(), append([]string{"-tags", "nodev"}, buildFlags...)...)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dev", "gateway", "bench"} {
		out, err := exec.Command(production, name, "--help").CombinedOutput()
		if err == nil || !strings.Contains(string(out), "tag nodev") || !strings.Contains(string(out), "cmd/relogin@latest "+name) {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
	help, err := exec.Command(production, "--help").CombinedOutput()
	if err != nil || !strings.Contains(string(help), "  worker ") || strings.Contains(string(help), "  bench ") {
		t.Errorf("help: %v: %s", err, help)
	}
}

// The Dockerfile's last target is what docker build makes, and compose wants the other one.
func TestImageIsTheProductionBuild(t *testing.T) {
	dockerfile, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, last, _ := strings.Cut(string(dockerfile), "\nFROM runtime AS full\n")
	if !strings.Contains(last, "\nFROM runtime AS worker\nCOPY --from=build-worker ") || strings.Count(last, "\nFROM ") != 1 {
		t.Error("worker is not the last target")
	}
	if !strings.Contains(string(dockerfile), "FROM source AS build-worker\nARG VERSION=dev\nRUN CGO_ENABLED=0 go build -tags nodev ") {
		t.Error("the worker is not built with the tag nodev")
	}
	compose, err := os.ReadFile("../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(compose), "\n      target: full\n") {
		t.Error("compose does not build the target full, which has the gateway")
	}
}
