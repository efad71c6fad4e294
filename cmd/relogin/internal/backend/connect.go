// Package backend has the settings of NATS and Redis, and connects to them with errors that
// name the settings to look at.
package backend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"

	"github.com/relogin/relogin/cache"
	"github.com/relogin/relogin/queue"
)

// Patience is how long a command that a person types waits for a server.
const Patience = 10 * time.Second

// Connect is [queue.Connect], as a client of that name, with errors that name the settings
// to look at.
func (n *NATSServer) Connect(ctx context.Context, name string, log *slog.Logger) (*nats.Conn, error) {
	o := n.Options
	o.Name, o.Logger = name, log
	nc, err := queue.Connect(ctx, o)
	for _, refusal := range []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired} {
		if errors.Is(err, refusal) {
			return nil, fmt.Errorf("%w: NATS refuses this user; set another by --nats-creds, --nats-nkey, --nats-context, or --nats-url nats://user:password@host:port", err)
		}
	}
	return nc, err
}

// ConnectSoon is [NATSServer.Connect], and gives up after the limit.
func (n *NATSServer) ConnectSoon(ctx context.Context, name string, log *slog.Logger, limit time.Duration) (*nats.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("time-out after %s", limit))
	defer cancel()
	nc, err := n.Connect(ctx, name, log)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w; --nats-url says where the server is", err)
	}
	return nc, err
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
