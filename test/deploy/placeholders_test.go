package deploy

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/relogin/relogin/test/servers"
)

// Nothing starts with a placeholder in the place of who may sign in.
func TestPlaceholders(t *testing.T) {
	t.Parallel()
	if _, err := server.ProcessConfigFile("../../deploy/nats/nats.conf"); err == nil || !strings.Contains(err.Error(), "nkey") {
		t.Errorf("nats.conf: %v", err)
	}
	servers.NeedRedisServer(t)
	for _, name := range []string{"users.acl", "sentinel.conf"} {
		dir := t.TempDir()
		data, err := os.ReadFile("../../deploy/redis/" + name)
		if err != nil {
			t.Fatal(err)
		}
		// Each placeholder but the users' is replaced, and so would not be the reason.
		text := strings.NewReplacer("redis-1", "127.0.0.1", "/var/lib/redis-sentinel", dir,
			"/etc/redis/tls/", dir+"/", "tls-port 26379", "", "bind * -::*", "bind 127.0.0.1").Replace(string(data))
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{path, "--sentinel", "--port", "0"}
		if name == "users.acl" {
			args = []string{"--aclfile", path, "--bind", "127.0.0.1", "--port", strconv.Itoa(servers.FreePort(t))}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		out, err := exec.CommandContext(ctx, "redis-server", args...).CombinedOutput()
		cancel()
		if err == nil || ctx.Err() == context.DeadlineExceeded || !strings.Contains(string(out), "hash") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
