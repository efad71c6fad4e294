package cli

import (
	"context"
	"log/slog"

	"github.com/relogin/relogin/cmd/relogin/internal/backend"
	"github.com/relogin/relogin/cmd/relogin/internal/cockpit"
)

// openSources connects the command of that name to NATS, and to Redis unless that is nil, and returns
// what operators look at there. The caller calls closes at the end.
func openSources(ctx context.Context, command string, n *backend.NATS, r *backend.Redis, log *slog.Logger) (s *cockpit.Sources, closes func(), err error) {
	nc, err := n.ConnectSoon(ctx, "relogin "+command, log, backend.Patience)
	if err != nil {
		return nil, nil, err
	}
	if s, err = cockpit.Open(ctx, nc, n.Namespace); err == nil && r != nil {
		s.Redis, err = r.Inspect(n.Namespace, command, 0, log)
	}
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return s, func() {
		if s.Redis != nil {
			_ = s.Redis.Close() // it was only read from
		}
		nc.Close()
	}, nil
}
