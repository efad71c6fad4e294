package queue

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/job"
)

// Events from many confirmations at once, as in a pod.
func BenchmarkPublish(b *testing.B) {
	nc := connect(b, servers.NATS(b))
	q := open(b, nc, config())
	var id atomic.Int64
	b.SetParallelism(256)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n := id.Add(1)
			if err := q.Publish(b.Context(), event(fmt.Sprintf("wxid_%d", n%5000), fmt.Sprint(n), job.Succeeded)); err != nil {
				b.Error(err)
			}
		}
	})
}

// Jobs of a backlog, taken one at a time and as many as the worker asks for at once.
func BenchmarkTake(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("at-once-%d", n), func(b *testing.B) {
			nc := connect(b, servers.NATS(b))
			q := open(b, nc, config())
			p, err := NewPublisher(nc, "relogin")
			if err != nil {
				b.Fatal(err)
			}
			jobs := func(yield func(*job.Job) bool) {
				for range b.N {
					if !yield(&job.Job{WcID: "wxid_1"}) {
						return
					}
				}
			}
			if err := p.PublishAll(b.Context(), job.Normal, jobs, func(*job.Job, Stored, error) {}); err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			for left := b.N; left > 0; {
				taken, _, err := q.Take(b.Context(), job.Normal, n, 10*time.Second)
				if err != nil || len(taken) == 0 {
					b.Fatalf("took %d of %d: %v", len(taken), left, err)
				}
				left -= len(taken)
				for _, d := range taken {
					d.Ack()
				}
			}
		})
	}
}
