package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/cmd/relogin/internal/terminal"
	"github.com/relogin/relogin/queue"
)

// cleanUp removes what the run has created, whether or not ctx has ended. Its worker is
// stopped. The error says what is left, and how to remove it.
func (b *bench) cleanUp(ctx context.Context) error {
	if ctx.Err() != nil {
		fmt.Fprintln(b.stderr, "interrupted: cleaning up")
	}
	var errs []error
	if b.claimed {
		errs = append(errs, b.forget(ctx))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTimeout)
	defer cancel()
	if err := queue.Remove(ctx, b.nats, b.NATS.Namespace, b.load.run); err != nil {
		name := strings.ToUpper(b.NATS.Namespace)
		errs = append(errs, fmt.Errorf("streams are left on NATS: remove those that are there of %[1]s_JOBS, %[1]s_EVENTS, %[1]s_DEAD and KV_%[1]s_REDIS, with nats stream rm: %[2]w", name, err))
	}
	return errors.Join(errs...)
}

// forget removes the keys of Redis. They are the run's: so are the names of its accounts.
func (b *bench) forget(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTimeout)
	defer cancel()
	client, err := b.openCache(ctx, nil)
	if err == nil {
		defer client.Close()
		for err = client.Forget(ctx, b.load.jobs()); err != nil && ctx.Err() == nil; err = client.Forget(ctx, b.load.jobs()) {
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}
	if err != nil {
		return fmt.Errorf("keys are left in Redis: %[1]s:mark, which you may delete, and others with the prefix %[1]s:, which expire within %[2]s: %[3]w",
			b.NATS.Namespace, settings.FormatDuration(b.streams().EventMaxAge), err)
	}
	return nil
}

// progress shows how many jobs of all are so far, on a terminal.
func (b *bench) progress(so string) *progressbar.ProgressBar {
	return terminal.Progress(b.stderr, b.Load.Jobs, so)
}
