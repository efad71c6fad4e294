package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/cache"
	"github.com/relogin/relogin/cmd/relogin/internal/backend"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/queue"
)

// connect gives up after a while, unlike commands that a script may start too early.
func (b *bench) connect(ctx context.Context) (*nats.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, serverPatience, errUnreachable)
	defer cancel()
	return b.NATS.Connect(ctx, "relogin bench", b.log)
}

var errUnreachable = fmt.Errorf("given up after %s", settings.FormatDuration(serverPatience))

// openCache connects to Redis, or gives up after a while. It asks for no locks, so its
// lease is the shortest there is. The caller closes what it returns.
func (b *bench) openCache(ctx context.Context, incarnations cache.IncarnationStore) (*cache.Client, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, serverPatience, errUnreachable)
	defer cancel()
	log := b.log
	if incarnations != nil {
		log = slog.New(slog.DiscardHandler) // that the nodes of a Cluster are new is no loss here
	}
	client, err := backend.OpenRedis(ctx, cache.Options{
		URL: b.Redis.URL, SentinelMaster: b.Redis.SentinelMaster, Namespace: b.NATS.Namespace, Pod: podName,
		SendWindow: time.Millisecond, ConfirmTimeout: time.Millisecond,
		JobMemory: jobMemory, EventMaxAge: b.streams().EventMaxAge, Incarnations: incarnations, Logger: log,
	})
	if err != nil && strings.Contains(err.Error(), "NOPERM") {
		return nil, fmt.Errorf("%w; the user needs the keys %s:* and what a worker's user may do; with --namespace the run uses keys that it has", err, b.NATS.Namespace)
	}
	return client, err
}

// probe sees, before anything is created, that Redis works and is not used under this
// namespace.
func (b *bench) probe(ctx context.Context) error {
	client, err := b.openCache(ctx, nil)
	if err != nil {
		return err
	}
	defer client.Close()
	used, err := client.Marked(ctx)
	if err == nil && used {
		err = fmt.Errorf("workers have used Redis as namespace %[1]s: choose another one; if none does so any more, delete the key %[1]s:mark", b.NATS.Namespace)
	}
	return err
}

// claim creates the streams, and has every Redis server admitted that workers will use.
func (b *bench) claim(ctx context.Context) error {
	config := b.streams().Config(b.NATS.Namespace, b.log)
	err := queue.Claim(ctx, b.nats, config, b.load.run)
	switch {
	case errors.Is(err, queue.ErrTaken):
		return fmt.Errorf("%w: nothing was touched; choose another --namespace, or none", err)
	case errors.Is(err, nats.ErrPermissionViolation):
		return fmt.Errorf("%w; with --namespace the run uses names that the user may use", err)
	case err != nil:
		return err
	}
	b.claimed = true
	incarnations, err := queue.OpenIncarnationStore(ctx, b.nats, b.NATS.Namespace, b.Load.Replicas)
	if err != nil {
		return err
	}
	client, err := b.openCache(ctx, incarnations)
	if err != nil {
		return err
	}
	defer client.Close()
	return b.meet(ctx, client)
}

// meet connects to the nodes of a Cluster, by their accounts. No pod has a lease yet, so
// all of them count at once.
func (b *bench) meet(ctx context.Context, client *cache.Client) error {
	met := 0
	for j := range b.load.jobs() {
		if _, err := client.Snoozed(ctx, j.WcID, j.ID); err != nil {
			return err
		}
		if met++; met == 200 {
			break
		}
	}
	return nil
}
