// Package bulk does the same with many things at once.
package bulk

import (
	"cmp"
	"context"
	"iter"
	"sync"

	"golang.org/x/sync/errgroup"
)

// atOnce is how many things are worked on at a time: each waits for a server's disk.
const atOnce = 32

// Each does something with each of them, many at once, and calls done after each, one at a time, with
// what came of it. It blocks until all are done, or ctx has ended and those that were begun are
// done: then it returns ctx's cause. The first error of reading them, or of done, ends it too.
func Each[T any](ctx context.Context, all iter.Seq2[T, error], do func(context.Context, T) error, done func(T, error) error) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	var mu sync.Mutex
	for one, err := range all {
		if err != nil {
			group.Go(func() error { return err })
			break
		}
		if groupCtx.Err() != nil {
			break
		}
		group.Go(func() error {
			err := do(context.WithoutCancel(ctx), one) // what was begun is finished
			mu.Lock()
			defer mu.Unlock()
			return done(one, err)
		})
	}
	return cmp.Or(group.Wait(), context.Cause(ctx))
}
