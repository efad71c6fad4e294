//go:build linux

package faults

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/test/servers"
)

// operator is people who steer while faults happen: they pause and resume, cancel jobs, and
// bring dead letters back.
type operator struct {
	w       *world
	control *queue.Control
	seed    uint64
	pauses  atomic.Int64 // names each

	mu        sync.Mutex
	held      []held
	known     []time.Duration      // how long it took until all workers knew a pause
	tried     map[string]bool      // jobs that somebody tried to cancel, by id
	cancelled map[string]time.Time // those of which it was said then that they are
	replayed  int                  // dead letters
}

func newOperator(w *world) *operator {
	return &operator{w: w, seed: w.random.Uint64(), tried: map[string]bool{}, cancelled: map[string]time.Time{}}
}

// run steers until ctx ends. Then nothing is paused any more.
func (o *operator) run(ctx context.Context) {
	ok := servers.Poll(time.Minute, func() bool {
		return o.within(func(ctx context.Context) (err error) {
			o.control, err = queue.OpenControl(ctx, o.w.nc, namespace)
			return err
		}) == nil
	})
	if !ok {
		o.w.t.Error("the bucket of what is paused can't be opened")
		return
	}
	var all sync.WaitGroup
	for n, one := range []func(context.Context, *rand.Rand){o.pauseAccounts, o.pauseMany, o.cancel, o.replay} {
		all.Go(func() { one(ctx, rand.New(rand.NewPCG(o.seed, uint64(n)))) })
	}
	all.Wait()
}

// insist tries until it has worked, and returns false when ctx ended before.
func (o *operator) insist(ctx context.Context, do func(context.Context) error) bool {
	for ctx.Err() == nil && !o.w.stop.Load() {
		if o.within(do) == nil {
			return true
		}
		pause(ctx, 100*time.Millisecond)
	}
	return false
}

func (o *operator) within(do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*second)
	defer cancel()
	return do(ctx)
}
