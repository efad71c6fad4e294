//go:build linux

package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// fault is something that happens to a deployment. inflict returns when it is over, or
// what ends it after it was held for a while, and whether it happened at all.
type fault struct {
	name    string
	hold    [2]time.Duration // at least, at most
	inflict func(w *world) (heal func(), happened bool)
}

// during is a fault that is held.
func during(name string, least, most time.Duration, inflict func(w *world) (heal func())) fault {
	return fault{name, [2]time.Duration{least, most}, func(w *world) (func(), bool) { return inflict(w), true }}
}

// once is a fault that is over at once.
func once(name string, inflict func(w *world)) fault {
	return fault{name: name, inflict: func(w *world) (func(), bool) { inflict(w); return nil, true }}
}

// deck deals every fault before any comes again.
type deck struct {
	random *rand.Rand
	faults []fault
	left   []fault

	mu       sync.Mutex
	injected map[string]int
}

func newDeck(random *rand.Rand, faults []fault, injected map[string]int) *deck {
	for _, f := range faults {
		injected[f.name] += 0
	}
	return &deck{random: random, faults: faults, injected: injected}
}

func (d *deck) deal() fault {
	if len(d.left) == 0 {
		d.left = append(d.left, d.faults...)
		d.random.Shuffle(len(d.left), func(i, j int) { d.left[i], d.left[j] = d.left[j], d.left[i] })
	}
	f := d.left[0]
	d.left = d.left[1:]
	return f
}

// play inflicts one to four faults at a time until ctx ends. All are healed then.
func (d *deck) play(ctx context.Context, w *world) {
	for ctx.Err() == nil {
		var mixed sync.WaitGroup
		for range 1 + d.random.IntN(4) {
			f, delay, hold := d.deal(), d.within(0, time.Second), time.Duration(0)
			if f.hold[1] > 0 {
				hold = d.within(f.hold[0], f.hold[1])
			}
			mixed.Go(func() {
				pause(ctx, delay)
				d.happen(ctx, w, f, hold)
			})
		}
		mixed.Wait()
		pause(ctx, d.within(0, 1500*time.Millisecond))
	}
}

func (d *deck) happen(ctx context.Context, w *world, f fault, hold time.Duration) {
	if ctx.Err() != nil {
		return
	}
	w.t.Logf("%s  %s, for %v", time.Now().Format("15:04:05.000"), f.name, hold.Round(time.Millisecond))
	heal, happened := f.inflict(w)
	if heal != nil {
		pause(ctx, hold)
		heal()
	}
	if happened {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.injected[f.name]++
	}
}

func (d *deck) within(least, most time.Duration) time.Duration {
	return least + time.Duration(d.random.Int64N(int64(most-least)+1))
}

// some returns a number below n.
func (w *world) some(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.IntN(n)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// deckOf returns what can happen to the kind of deployment.
func deckOf(sentinel bool) (all []fault) {
	all = append(all, workerFaults()...)
	all = append(all, natsFaults()...)
	all = append(all, gatewayFaults()...)
	services := []string{"nats", "gateway"}
	if sentinel {
		all = append(all, failoverFaults()...)
	} else {
		all = append(all, redisFaults()...)
		services = append(services, "redis")
	}
	for _, service := range services {
		all = append(all, connectionFaults(service)...)
	}
	return all
}

const (
	moment = 300 * time.Millisecond
	second = time.Second
)

func connectionFaults(service string) []fault {
	toxic := func(what string, most time.Duration, poison func(p *proxy) error) fault {
		return during(fmt.Sprintf("connections to %s: %s", service, what), moment, most, func(w *world) func() {
			some := w.proxies.between(w.some(workers+1)-1, service)
			for _, p := range some {
				if err := poison(p); err != nil {
					w.t.Error(err)
				}
			}
			return func() {
				for _, p := range some {
					p.heal()
				}
			}
		})
	}
	return []fault{
		during("connections to "+service+": cut", moment, 3*second, func(w *world) func() {
			some := w.proxies.between(w.some(workers+1)-1, service)
			for _, p := range some {
				p.cut()
			}
			return func() {
				for _, p := range some {
					if err := p.restore(); err != nil {
						w.t.Error(err)
					}
				}
			}
		}),
		toxic("slow", 5*second, func(p *proxy) error {
			if err := p.poison("latency", "upstream", `{"latency":100,"jitter":100}`); err != nil {
				return err
			}
			return p.poison("latency", "downstream", `{"latency":100,"jitter":100}`)
		}),
		toxic("half-open", 8*second, func(p *proxy) error {
			if err := p.poison("timeout", "upstream", `{"timeout":0}`); err != nil {
				return err
			}
			return p.poison("timeout", "downstream", `{"timeout":0}`)
		}),
		toxic("replies lost", 4*second, func(p *proxy) error { return p.poison("timeout", "downstream", `{"timeout":0}`) }),
		toxic("reset at the reply", second, func(p *proxy) error { return p.poison("reset_peer", "downstream", `{"timeout":0}`) }),
	}
}
