package cache

import (
	"testing"
	"time"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

// TestFinish has the rows of the package's second table.
func TestFinish(t *testing.T) {
	cases := map[string]func(f *fixture){
		"the token's lock": func(f *fixture) {
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			f.mustFinish(f.end("j", "a", job.Succeeded), nil)
			f.wantKeys(f.Client.keys("wxid_1").job("j"))
		},
		"repeated": func(f *fixture) {
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			f.mustBegin(f.ask("other", "o"), worker.Held)
			end := f.end("j", "a", job.Failed)
			end.Cooldown = time.Minute
			f.mustFinish(end, nil)
			if got := f.mustFinish(end, nil); got.Outcome != job.Failed || *got.Login != *end.Result.Login {
				f.tb.Fatalf("got %+v", got)
			}
			f.mustBegin(f.ask("other", "o"), worker.Shared)
		},
		"an earlier delivery's result counts": func(f *fixture) {
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			f.mustFinish(f.end("j", "a", job.Succeeded), nil)
			if got := f.mustFinish(f.end("j", "", job.Unknown), nil); got.Outcome != job.Succeeded {
				f.tb.Fatalf("got %+v", got)
			}
		},
		"without a grant": func(f *fixture) {
			end := f.end("j", "", job.Expired)
			end.Cooldown = time.Minute
			f.mustFinish(end, nil)
			f.wantKeys(f.Client.keys("wxid_1").job("j"))
		},
		"without a grant, by one who waits": func(f *fixture) {
			f.mustBegin(f.ask("holder", "h"), worker.Granted)
			f.mustBegin(f.ask("j", "a"), worker.Held)
			f.mustFinish(f.end("j", "", job.Expired), nil)
			f.mustBegin(f.ask("j", "a"), worker.Done)
			f.mustBegin(f.ask("next", "n"), worker.Held)
		},
		"superseded": func(f *fixture) {
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			f.mustFinish(f.end("j", "", job.Expired), worker.ErrSuperseded)
			f.mustFinish(f.end("j", "old", job.Unknown), worker.ErrSuperseded)
			f.dropLock()
			f.mustFinish(f.end("j", "", job.Unknown), worker.ErrSuperseded)
			f.mustBegin(f.ask("j", "b"), worker.InDoubt)
		},
		"lease over, the lock another's": func(f *fixture) {
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			f.mustBegin(f.ask("waiter", "w"), worker.Held)
			f.dropLock()
			f.mustBegin(f.ask("other", "o"), worker.Granted)
			end := f.end("j", "a", job.Failed)
			end.Cooldown = time.Minute
			if got := f.mustFinish(end, worker.ErrLeaseLost); got.Outcome != job.Failed {
				f.tb.Fatalf("got %+v", got)
			}
			f.mustBegin(f.ask("j", "b"), worker.Done)
			if got := f.mustBegin(f.ask("waiter", "w"), worker.Held); got.Token != "o" {
				f.tb.Fatalf("got %+v", got)
			}
			f.mustFinish(f.end("other", "o", job.Succeeded), nil)
			if got := f.mustBegin(f.ask("waiter", "w"), worker.Shared); got.By != "other" {
				f.tb.Fatalf("got %+v", got)
			}
			f.mustBegin(f.ask("next", "n"), worker.Cooling)
			f.mustFinish(end, nil)
		},
		"lease over, the account free": func(f *fixture) {
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			f.mustBegin(f.ask("waiter", "w"), worker.Held)
			f.dropLock()
			f.mustFinish(f.end("j", "a", job.Succeeded), worker.ErrLeaseLost)
			f.mustBegin(f.ask("waiter", "w"), worker.Shared)
		},
		"lease over, the account free, a later result there": func(f *fixture) {
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			f.mustBegin(f.ask("waiter", "w"), worker.Held)
			f.dropLock()
			f.mustBegin(f.ask("other", "o"), worker.Granted)
			f.mustFinish(f.end("other", "o", job.Succeeded), nil)
			f.mustFinish(f.end("j", "a", job.Failed), worker.ErrLeaseLost)
			if got := f.mustBegin(f.ask("waiter", "w"), worker.Shared); got.By != "other" {
				f.tb.Fatalf("got %+v", got)
			}
		},
		"in doubt": func(f *fixture) {
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			f.mustBegin(f.ask("waiter", "w"), worker.Held)
			f.dropLock()
			got := f.mustBegin(f.ask("j", "b"), worker.InDoubt)
			end := f.end("j", got.Token, job.Unknown)
			end.Keep = true
			f.mustFinish(end, worker.ErrLeaseLost)
			f.mustBegin(f.ask("waiter", "w"), worker.Granted) // unknown is not worth sharing
		},
		"kept": func(f *fixture) {
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			end := f.end("j", "a", job.Unknown)
			end.Keep, end.Cooldown = true, time.Minute
			f.mustFinish(end, nil)
			k := f.Client.keys("wxid_1")
			f.wantKeys(k.job("j"), k.lock(), k.last("t"), k.cool())
			f.dropLock()
			f.mustBegin(f.ask("next", "n"), worker.Cooling)
		},
		"another tenant's turn in between": func(f *fixture) {
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			f.mustBegin(f.ask("late", "l"), worker.Held)
			other := f.ask("x", "o")
			other.Tenant = "u"
			f.mustBegin(other, worker.Held)
			f.mustFinish(f.end("j", "a", job.Succeeded), nil)
			f.mustBegin(other, worker.Granted)
			end := f.end("x", "o", job.Succeeded)
			end.Tenant = "u"
			f.mustFinish(end, nil)
			if got := f.mustBegin(f.ask("late", "l"), worker.Shared); got.By != "j" {
				f.tb.Fatalf("shared with %q", got.By)
			}
		},
		"the record is gone": func(f *fixture) {
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			f.raw.Del(f.tb.Context(), f.Client.keys("wxid_1").job("j"))
			f.mustFinish(f.end("j", "a", job.Succeeded), worker.ErrLeaseLost)
			f.wantKeys(f.Client.keys("wxid_1").job("j"))
		},
		"no times": func(f *fixture) {
			end := f.end("j", "", job.Expired)
			end.StoredAt = time.Time{}
			f.mustFinish(end, nil)
			if got := f.mustBegin(f.ask("j", "b"), worker.Done); !got.Since.IsZero() {
				f.tb.Fatalf("since %v", got.Since)
			}
		},
	}
	everywhere(t, func(t *testing.T, url string) {
		for name, test := range cases {
			t.Run(name, func(t *testing.T) { test(open(t, url)) })
		}
	})
}

// wantKeys checks which keys are there.
func (f *fixture) wantKeys(want ...string) {
	f.tb.Helper()
	left := make(map[string]bool)
	for _, key := range f.keysLeft() {
		left[key] = true
	}
	for _, key := range want {
		if !left[key] {
			f.tb.Errorf("%q is gone", key)
		}
		delete(left, key)
	}
	for key := range left {
		f.tb.Errorf("%q is left", key)
	}
}

func TestRelease(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		f := open(t, url)
		f.mustRelease(f.ask("j", "a")) // nothing there
		f.mustBegin(f.ask("j", "a"), worker.Granted)
		f.mustRelease(f.ask("j", "other"))
		f.mustRelease(f.ask("k", "other"))
		f.mustBegin(f.ask("k", "o"), worker.Held)
		f.mustRelease(f.ask("j", "a"))
		f.mustRelease(f.ask("j", "a"))
		f.mustBegin(f.ask("k", "o"), worker.Granted)
		f.mustRelease(f.ask("k", "o"))
		k := f.Client.keys("wxid_1")
		f.wantKeys(k.waiting())

		f.mustBegin(f.ask("j", "a"), worker.Granted)
		f.mustFinish(f.end("j", "a", job.Succeeded), nil)
		f.mustRelease(f.ask("j", "a")) // what has ended stays
		f.mustBegin(f.ask("j", "b"), worker.Done)
	})
}

// TestShrink checks what is left of a job: its mark alone, for the job memory.
func TestShrink(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		f := open(t, url)
		key := f.Client.keys("wxid_1").job("j")
		f.Snooze("wxid_1", "j")
		f.Snooze("wxid_1", "j")
		servers.Eventually(t, "snoozes", func() bool {
			n, err := f.Snoozed(t.Context(), "wxid_1", "j")
			return n == 2 && err == nil
		})
		f.mustBegin(f.ask("j", "a"), worker.Granted)
		f.Shrink("wxid_1", "j")
		f.Shrink("wxid_1", "never there")
		f.mustTidy()
		f.mustBegin(f.ask("j", "b"), worker.Held) // an open record is not shrunk
		f.mustFinish(f.end("j", "a", job.Succeeded), nil)
		f.Shrink("wxid_1", "j")
		servers.Eventually(t, "mark", func() bool { return f.raw.Get(t.Context(), key).Val() == "1" })
		f.wantKeys(key)
		if ttl := f.raw.PTTL(t.Context(), key).Val(); ttl < 59*time.Minute || ttl > time.Hour {
			t.Errorf("the mark is kept for %v", ttl)
		}
		f.Snooze("wxid_1", "j")
		if n, err := f.Snoozed(t.Context(), "wxid_1", "j"); n != 0 || err != nil {
			t.Errorf("Snoozed = %d, %v", n, err)
		}
	})
}

func TestShrinkWithoutMemory(t *testing.T) {
	f := open(t, servers.Redis(t), func(o *Options) { o.JobMemory = 0 })
	f.mustBegin(f.ask("j", "a"), worker.Granted)
	f.mustFinish(f.end("j", "a", job.Succeeded), nil)
	f.Shrink("wxid_1", "j")
	servers.Eventually(t, "nothing left", func() bool { return len(f.keysLeft()) == 0 })
}

// TestReserve checks the first second's burst, and the spacing after it.
func TestReserve(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		for _, c := range []struct {
			rate  float64
			burst int
			then  time.Duration
		}{{0.5, 1, 2 * time.Second}, {1, 1, time.Second}, {5, 5, 200 * time.Millisecond}} {
			f := open(t, url, func(o *Options) { o.GatewayRate = c.rate })
			for i := range c.burst {
				if wait, taken, err := f.Reserve(t.Context(), "t", 0); err != nil || wait != 0 || !taken {
					t.Fatalf("rate %v, place %d: %v, %v", c.rate, i, wait, err)
				}
			}
			for i := range 3 {
				want := c.then * time.Duration(i+1)
				if _, taken, err := f.Reserve(t.Context(), "t", 0); err != nil || taken {
					t.Fatalf("rate %v: a place that is too far ahead was taken: %v", c.rate, err)
				}
				wait, taken, err := f.Reserve(t.Context(), "t", time.Minute)
				if err != nil || !taken || wait > want || wait < want-200*time.Millisecond {
					t.Fatalf("rate %v, place %d after the burst: %v, %v; want %v", c.rate, i, wait, err, want)
				}
			}
			if wait, _, err := f.Reserve(t.Context(), "another", 0); err != nil || wait != 0 {
				t.Fatalf("another tenant: %v, %v", wait, err)
			}
		}
		f := open(t, url)
		sent := f.Stats().Commands
		if wait, _, err := f.Reserve(t.Context(), "t", 0); wait != 0 || err != nil || f.Stats().Commands != sent {
			t.Fatalf("without a rate: %v, %v", wait, err)
		}
	})
}
