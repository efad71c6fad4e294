package cache

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

// TestMemory holds what a job costs Redis: an open confirmation at most 1 KiB, and an
// ended job its tombstone alone, at most 200 bytes. What is measured is all of the server's
// memory, so that the tables of keys are in it: as large as all of the jobs open at once
// have made them.
func TestMemory(t *testing.T) {
	servers.SkipIfShort(t, "it measures a server with 65,536 jobs")
	t.Parallel()
	const jobs = 1 << 16
	f := open(t, servers.StartRedis(t).URL(), func(o *Options) { o.Namespace = "relogin" })
	before := f.usedMemory()
	f.each(jobs, (*fixture).justBegin)
	f.wantAtMost("an open confirmation", (f.usedMemory()-before)/jobs, 1024)
	f.each(jobs, func(f *fixture, a worker.Ask) error {
		err := f.justFinish(a)
		f.Shrink(a.WcID, a.JobID)
		return err
	})
	f.mustTidy()
	if dropped := f.Stats().Dropped; dropped > jobs/100 {
		t.Fatalf("%d records were not shrunk", dropped)
	}
	f.wantAtMost("an ended job", (f.usedMemory()-before)/jobs, 200)
}

func (f *fixture) wantAtMost(what string, got, most int) {
	f.tb.Helper()
	f.tb.Logf("%s: %d bytes", what, got)
	if got > most {
		f.tb.Errorf("%s costs %d bytes, more than %d", what, got, most)
	}
}

// TestAllEnds has accounts leave each kind of key, and none of them stays for ever.
func TestAllEnds(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		f := open(t, url, func(o *Options) { o.DailyPrompts, o.GatewayRate = 3, 5 })
		f.mustBegin(f.ask("j", "a"), worker.Granted)
		f.mustBegin(f.ask("k", "b"), worker.Held)
		end := f.end("j", "a", job.Unknown)
		end.Keep, end.Cooldown = true, time.Hour
		f.mustFinish(end, nil)
		f.Shrink("wxid_1", "j")
		f.Snooze("wxid_1", "k")
		if _, _, err := f.Reserve(t.Context(), "t", time.Second); err != nil {
			t.Fatal(err)
		}
		f.mustTidy()
		k := f.Client.keys("wxid_1")
		f.wantKeys(k.lock(), k.job("j"), k.job("k"), k.waiting(), k.last("t"), k.cool(), k.prompts(), k.snoozed("k"),
			f.opts.Namespace+":rate:t")
		for _, key := range f.keysLeft() {
			if left := f.raw.PTTL(t.Context(), key).Val(); left <= 0 {
				t.Errorf("%q ends in %v", key, left)
			}
		}
	})
}

// each makes the calls for many jobs, with ids as long as they usually are, each on an
// account of its own.
func (f *fixture) each(jobs int, calls func(*fixture, worker.Ask) error) {
	f.tb.Helper()
	var all sync.WaitGroup
	const goroutines = 256
	for g := range goroutines {
		all.Go(func() {
			for i := g; i < jobs; i += goroutines {
				a := f.ask(fmt.Sprintf("%036d", i), "1#1")
				a.WcID = fmt.Sprintf("wxid_%015d", i)
				if err := calls(f, a); err != nil {
					f.tb.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// usedMemory returns what the server has allocated for its data.
func (f *fixture) usedMemory() int { return f.infoNumber("memory", "used_memory") }

func (f *fixture) infoNumber(section, name string) int {
	f.tb.Helper()
	n, err := strconv.Atoi(parseInfo(f.raw.Info(f.tb.Context(), section).Val())[name])
	if err != nil {
		f.tb.Fatal(err)
	}
	return n
}
