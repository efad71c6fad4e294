package cache

import (
	"context"
	"fmt"
	"log/slog"
)

// redisLogger takes go-redis's own lines, which are process-wide: what matters in them is
// in an error too, so they are for debugging.
type redisLogger struct{ to *slog.Logger }

func (c redisLogger) Printf(ctx context.Context, format string, v ...any) {
	c.to.DebugContext(ctx, "go-redis: "+fmt.Sprintf(format, v...))
}
