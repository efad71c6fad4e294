package backend

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relogin/relogin/cache"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
)

// Redis says how to reach Redis.
type Redis struct {
	URL            string
	SentinelMaster string
}

// Declare implements [settings.Group].
func (r *Redis) Declare(s *settings.Settings) {
	s.Section("Redis")
	s.Add("redis-url", settings.ServerURLs(&r.URL, "redis", "rediss"), "redis://127.0.0.1:6379/0",
		"the server: redis://[user:password@]host:port/db, or rediss:// for TLS; several, comma-separated, are nodes of a Cluster").AlsoFrom("REDIS_URL")
	s.Add("redis-sentinel-master", settings.Text(&r.SentinelMaster), "",
		"name of the master; the servers of --redis-url are the sentinels then")
}

// Inspect returns what shows the namespace's accounts and jobs in this Redis, for a command of that
// name. The caller closes it.
func (r *Redis) Inspect(namespace, command string, eventMaxAge time.Duration, log *slog.Logger) (*cache.Inspector, error) {
	i, err := cache.OpenInspector(cache.Options{
		URL: r.URL, SentinelMaster: r.SentinelMaster, Namespace: namespace, EventMaxAge: eventMaxAge, Pod: command, Logger: log,
	})
	if err != nil {
		return nil, settings.UsageError{Err: err}
	}
	return i, nil
}

// OpenRedis is [cache.Open] with errors that name the settings to look at.
func OpenRedis(ctx context.Context, o cache.Options) (*cache.Client, error) {
	client, err := cache.Open(ctx, o)
	switch {
	case redis.HasErrorPrefix(err, "NOAUTH"), redis.HasErrorPrefix(err, "WRONGPASS"):
		return nil, fmt.Errorf("%w: set the right user and password by --redis-url redis://user:password@host:port/db", err)
	case redis.HasErrorPrefix(err, "NOPERM"):
		return nil, fmt.Errorf("%w: grant it to the user of --redis-url; deploy/redis/users.acl has all that a worker needs", err)
	}
	return client, err
}
