package bench

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker"
)

// confirm blocks until each job has its event, and returns what the worker used.
func (b *bench) confirm(ctx context.Context, t *tally) (used usage, err error) {
	ctx, end := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer end(nil)
	following := make(chan struct{})
	running.Go(func() {
		end(queue.FollowStored(ctx, b.nats, queue.FollowOptions{
			Namespace: b.NATS.Namespace, Ready: func() { close(following) }, Logger: b.log,
		}, t.see))
	})
	select {
	case <-following:
	case <-ctx.Done():
		return used, context.Cause(ctx)
	}
	if b.Load.Rate == 0 {
		if err := b.publish(ctx, b.load.jobs(), b.progress("published")); err != nil {
			return used, err
		}
	}
	w, err := b.startWorker()
	if err != nil {
		return used, err
	}
	defer w.stop()
	if err := w.awaitReady(ctx); err != nil {
		return used, err
	}
	if b.Load.Rate > 0 {
		running.Go(func() {
			if err := b.publish(ctx, paced(ctx, b.Load.Rate, b.load.jobs()), progressbar.DefaultSilent(1)); err != nil {
				end(err)
			}
		})
	}
	if err := b.await(ctx, t, w); !errors.Is(err, errAllEnded) {
		return used, err
	}
	return w.stop(), nil
}

// await returns why there is nothing to wait for any more: [errAllEnded] when each job has
// its event.
func (b *bench) await(ctx context.Context, t *tally, w *workerProcess) error {
	patience := serverPatience + b.Load.ConfirmAfter
	if b.Load.Rate > 0 {
		patience += time.Duration(float64(time.Second) / b.Load.Rate)
	}
	quiet := time.NewTimer(patience)
	for {
		select {
		case <-t.news:
			quiet.Reset(patience)
		case <-quiet.C:
			return fmt.Errorf("no event came for %s: see whether NATS and Redis work", settings.FormatDuration(patience.Round(time.Second)))
		case <-w.done:
			return w.death(ctx)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// publish publishes the jobs in the normal lane, and returns the first error.
func (b *bench) publish(ctx context.Context, jobs iter.Seq[*worker.Job], shown *progressbar.ProgressBar) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	publisher, err := queue.NewPublisher(b.nats, b.NATS.Namespace)
	if err != nil {
		return err
	}
	// The first one goes alone, to see that it may: it is one job still.
	first, stop := context.WithTimeout(ctx, 5*time.Second)
	defer stop()
	if _, err := publisher.Publish(first, b.load.job(0), worker.Normal); err != nil {
		return err
	}
	return publisher.PublishAll(ctx, worker.Normal, jobs, func(_ *worker.Job, _ queue.Stored, err error) {
		if err != nil {
			cancel(err)
		}
		_ = shown.Add(1)
	})
}
