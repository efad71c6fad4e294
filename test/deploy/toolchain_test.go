package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// Whatever builds or checks the product has the Go of go.mod, or the images would be
// compiled with a standard library that the check for vulnerabilities did not see.
func TestOneToolchain(t *testing.T) {
	want := find(t, "go.mod", `(?m)^toolchain go(\S+)$`)
	for name, pattern := range map[string]string{
		"test/bench/go.mod":  `(?m)^toolchain go(\S+)$`,
		".ci/lint.mod":       `(?m)^toolchain go(\S+)$`,
		".ci/vuln.mod":       `(?m)^toolchain go(\S+)$`,
		"Dockerfile":         `(?m)^ARG GO_IMAGE=golang:(\S+)$`,
		"docker-compose.yml": `GO_IMAGE:-golang:([^}]+)}`,
	} {
		if got := find(t, name, pattern); got != want {
			t.Errorf("%s names Go %s, go.mod %s", name, got, want)
		}
	}
}

// find returns what the pattern's group matches in a file of the project.
func find(t *testing.T, name, pattern string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../..", name))
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(pattern).FindSubmatch(data)
	if match == nil {
		t.Fatalf("%s does not match %s", name, pattern)
	}
	return string(match[1])
}
