package gateway

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relogin/relogin/test/servers"
)

// changes waits for changes of a running client's settings.
type changes struct {
	t *testing.T
	c *Client
}

func run(t *testing.T, c *Client) *changes {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return &changes{t, c}
}

// await blocks until the tenant's credential is the wanted one.
func (ch *changes) await(tenant, want string) {
	ch.t.Helper()
	seen := servers.Poll(rereadEvery/2, func() bool { // less than the safety net: the look at the files must see it
		got, err := ch.c.tenant(tenant)
		return err == nil && got.authorization == want
	})
	if !seen {
		ch.t.Fatalf("the credential of %s did not become %q", tenant, want)
	}
}

func TestWatchRewrittenFile(t *testing.T) {
	token := write(t, filepath.Join(t.TempDir(), "token"), "one\n")
	ch := run(t, newClient(t, Options{URL: "http://a", AuthorizationFile: token}))
	write(t, token, "two\n")
	ch.await("default", "two")
}

func TestWatchAtomicRename(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "tenants.yaml"), "a: {authorization: one}")
	ch := run(t, newClient(t, Options{URL: "http://a", TenantsFile: file}))
	for _, next := range []string{"two", "three"} {
		if err := os.Rename(write(t, filepath.Join(dir, "new"), "a: {authorization: "+next+"}"), file); err != nil {
			t.Fatal(err)
		}
		ch.await("a", next)
	}
}

// TestWatchKubernetesSecret changes a file as the kubelet does: by swapping a link to
// the directory that the file's link leads through.
func TestWatchKubernetesSecret(t *testing.T) {
	dir := t.TempDir()
	publish := func(version, token string) {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, version, "token"), token)
		next := filepath.Join(dir, "..data_tmp")
		if err := os.Symlink(version, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	publish("..1", "one")
	token := filepath.Join(dir, "token")
	if err := os.Symlink(filepath.Join("..data", "token"), token); err != nil {
		t.Fatal(err)
	}
	ch := run(t, newClient(t, Options{URL: "http://a", AuthorizationFile: token}))
	publish("..2", "two")
	ch.await("default", "two")
}

func TestWatchFileInNewDirectory(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "tenants.yaml"), "a: {authorization: one}")
	token := write(t, filepath.Join(t.TempDir(), "token"), "two")
	ch := run(t, newClient(t, Options{URL: "http://a", TenantsFile: file}))
	write(t, file, "a: {authorizationFile: "+token+"}")
	ch.await("a", "two")
	write(t, token, "three")
	ch.await("a", "three")
}

// TestReread pins what is taken over from changed files, and what is logged.
func TestReread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := write(t, filepath.Join(t.TempDir(), "tenants.yaml"), "a: {authorization: one}\nb: {authorization: same}")
		var log servers.Buffer
		c, err := New(Options{URL: "http://a", TenantsFile: file, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var following sync.WaitGroup
		following.Go(func() { c.Run(ctx) })
		time.Sleep(time.Second) // from now on nothing happens at the moment of a tick
		next := func(text string) (logged string) {
			write(t, file, text)
			log.Take()
			time.Sleep(2 * rereadEvery)
			synctest.Wait()
			return log.Take()
		}
		before, _ := c.tenant("b")
		before.noList.Store(true)
		if got := next("a: {authorization: two}\nb: {authorization: same}"); !strings.Contains(got, "tenants=[a]") {
			t.Errorf("logged %q", got)
		}
		if b, _ := c.tenant("b"); b != before {
			t.Error("what was learned of an unchanged tenant is forgotten")
		}
		if got := next("a: {autorization: " + secret + "}"); strings.Count(got, "\n") != 1 || !strings.Contains(got, "correct the file") || strings.Contains(got, secret) {
			t.Errorf("logged %q", got)
		}
		if a, err := c.tenant("a"); err != nil || a.authorization != "two" {
			t.Errorf("a mistake in the file was taken over: %v", err)
		}
		if got := next("b: {authorization: other}"); !strings.Contains(got, `tenants="[a b]"`) {
			t.Errorf("logged %q", got)
		}
		if _, err := c.tenant("a"); err == nil {
			t.Error("a removed tenant is still there")
		}
		if b, _ := c.tenant("b"); b.noList.Load() {
			t.Error("a changed tenant's list stays off")
		}
		cancel()
		following.Wait()
	})
}

func TestRunWithoutFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Options{URL: "http://a"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		start := time.Now()
		if c.Run(ctx); time.Since(start) != time.Hour {
			t.Errorf("Run returned after %v", time.Since(start))
		}
	})
}
