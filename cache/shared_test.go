package cache

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

// takeOver concludes a job with the outcome that the answer shares.
func (f *fixture) takeOver(j string, a worker.Answer, sole time.Time, want error) worker.Finished {
	f.tb.Helper()
	end := f.end(j, "", job.Succeeded)
	end.Shared, end.Result.SharedWith, end.SoleUntil = a.Token, a.By, sole
	if a.Result != nil {
		end.Result.Login = a.Result.Login
	}
	got, err := f.Finish(f.tb.Context(), end)
	if err != want {
		f.tb.Fatalf("Finish(%s) error = %v, want %v", j, err, want)
	}
	return got
}

// waited has job j confirmed with a while these wait, and returns what each shares.
func (f *fixture) waited(jobs ...string) []worker.Answer {
	f.tb.Helper()
	f.mustBegin(f.ask("j", "a"), worker.Granted)
	for _, job := range jobs {
		f.mustBegin(f.ask(job, "1#1"), worker.Held)
	}
	f.mustFinish(f.end("j", "a", job.Succeeded), nil)
	var answers []worker.Answer
	for _, job := range jobs {
		answers = append(answers, f.mustBegin(f.ask(job, "1#1"), worker.Shared))
	}
	return answers
}

// TestTakenOver has the rows of the package's tables that took is in.
func TestTakenOver(t *testing.T) {
	cases := map[string]func(f *fixture){
		"shared again": func(f *fixture) {
			first := f.waited("o")[0]
			if first.Token != "a" || first.By != "j" || first.ConcludedBefore {
				f.tb.Fatalf("got %+v", first)
			}
			f.takeOver("o", first, time.Time{}, nil)
			again := f.mustBegin(f.ask("o", "2#1"), worker.Shared)
			if !again.ConcludedBefore || again.Token != "a" || again.Result == nil || *again.Result.Login != *first.Result.Login {
				f.tb.Fatalf("got %+v", again)
			}
			f.takeOver("o", again, time.Now().Add(time.Hour), nil)
		},
		"the result is there already": func(f *fixture) {
			f.waited("o")
			ask := f.ask("o", "1#1")
			ask.Have = "a"
			if got := f.mustBegin(ask, worker.Shared); got.Result != nil || got.Token != "a" || got.By != "j" {
				f.tb.Fatalf("got %+v", got)
			}
			ask.Have = "another"
			if got := f.mustBegin(ask, worker.Shared); got.Result == nil {
				f.tb.Fatalf("got %+v", got)
			}
		},
		"without a record": func(f *fixture) {
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			end := f.end("j", "a", job.Unknown)
			end.Keep = true
			f.mustFinish(end, nil)
			got := f.mustBegin(f.ask("o", "1#1"), worker.Shared)
			if f.takeOver("o", got, time.Now().Add(time.Hour), nil).First {
				f.tb.Fatal("first, without a record")
			}
			if got := f.mustBegin(f.ask("o", "2#1"), worker.Shared); !got.ConcludedBefore || got.Token != "a" {
				f.tb.Fatalf("got %+v", got)
			}
			f.dropLock()
			if got := f.mustBegin(f.ask("o", "2#1"), worker.Shared); !got.ConcludedBefore || got.Token != "a" {
				f.tb.Fatalf("got %+v", got)
			}
		},
		"the result is gone": func(f *fixture) {
			f.takeOver("o", f.waited("o")[0], time.Time{}, nil)
			f.raw.Del(f.tb.Context(), f.Client.keys("wxid_1").last("t"))
			late := f.ask("o", "2#1")
			late.Deadline = f.now
			if got := f.mustBegin(late, worker.TooLate); !got.ConcludedBefore {
				f.tb.Fatalf("got %+v", got)
			}
			f.mustBegin(f.ask("next", "n"), worker.Granted)
			if got := f.mustBegin(f.ask("o", "2#1"), worker.Held); !got.ConcludedBefore {
				f.tb.Fatalf("got %+v", got)
			}
			f.mustFinish(f.end("next", "n", job.Failed), nil)
			if got := f.mustBegin(f.ask("o", "2#1"), worker.Shared); !got.ConcludedBefore || got.By != "next" {
				f.tb.Fatalf("got %+v", got)
			}
			f.raw.Del(f.tb.Context(), f.Client.keys("wxid_1").last("t"))
			if got := f.mustBegin(f.ask("o", "2#1"), worker.Granted); !got.ConcludedBefore {
				f.tb.Fatalf("got %+v", got)
			}
		},
		"shrunk": func(f *fixture) {
			f.takeOver("o", f.waited("o")[0], time.Time{}, nil)
			f.Shrink("wxid_1", "o")
			f.mustTidy()
			got := f.mustBegin(f.ask("o", "2#1"), worker.Ended)
			f.takeOver("o", got, time.Time{}, worker.ErrEnded)
		},
		"another delivery is at work, or has ended otherwise": func(f *fixture) {
			f.mustBegin(f.ask("o", "1#1"), worker.Granted)
			f.takeOver("o", worker.Answer{Token: "a", By: "j"}, time.Time{}, worker.ErrSuperseded)
			f.mustFinish(f.end("o", "1#1", job.Failed), nil)
			if got := f.takeOver("o", worker.Answer{Token: "a", By: "j"}, time.Time{}, nil); got.Result.Outcome != job.Failed || got.First {
				f.tb.Fatalf("got %+v", got)
			}
		},
		"ended otherwise after that": func(f *fixture) {
			f.takeOver("o", f.waited("o")[0], time.Time{}, nil)
			end := f.end("o", "", job.Expired)
			end.SoleUntil = time.Now().Add(time.Hour)
			if got, err := f.Finish(f.tb.Context(), end); err != nil || got.First || got.Result.Outcome != job.Expired {
				f.tb.Fatalf("got %+v, %v", got, err)
			}
			f.mustBegin(f.ask("o", "2#1"), worker.Done)
		},
	}
	everywhere(t, func(t *testing.T, url string) {
		for name, test := range cases {
			t.Run(name, func(t *testing.T) { test(open(t, url)) })
		}
	})
}

// TestFirst has what proves that no other delivery has ended the job, and what does not.
func TestFirst(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		f := open(t, url)
		first := func(what string, end worker.Conclusion, want bool) {
			t.Helper()
			if got, _ := f.Finish(t.Context(), end); got.First != want {
				t.Errorf("%s: first %v", what, got.First)
			}
		}
		soon := time.Now().Add(time.Hour)
		f.mustBegin(f.ask("j", "a"), worker.Granted)
		for _, job := range []string{"o", "p", "q"} {
			f.mustBegin(f.ask(job, "1#1"), worker.Held)
		}
		first("its own grant", f.end("j", "a", job.Succeeded), true)
		first("a repeated end", f.end("j", "a", job.Succeeded), false)
		for job, c := range map[string]struct {
			sole time.Time
			want bool
		}{"o": {soon, true}, "p": {f.now.Add(-time.Minute), false}, "q": {time.Time{}, false}, "no record": {soon, false}} {
			f.mustTake(job, c.sole, c.want)
			f.mustTake(job, c.sole, false)
		}
		f.mustBegin(f.ask("k", "b"), worker.Granted)
		f.mustBegin(f.ask("r", "1#1"), worker.Held)
		expired := f.end("r", "", job.Expired)
		expired.SoleUntil = soon
		first("one that waited", expired, true)
		f.dropLock()
		first("a lease that ended", f.end("k", "b", job.Succeeded), false)
	})
}

// mustTake takes over the outcome of j and checks what is told of that.
func (f *fixture) mustTake(job string, sole time.Time, first bool) {
	f.tb.Helper()
	if got := f.takeOver(job, worker.Answer{Token: "a", By: "j"}, sole, nil); got.First != first {
		f.tb.Errorf("%s: first %v", job, got.First)
	}
}

// TestSharedResultOnce has 3,000 jobs share a large result: it is stored for the account
// and for the job that prompted, and answers to those who have it are small.
func TestSharedResultOnce(t *testing.T) {
	t.Parallel()
	const jobs, large = 3000, 16 << 10
	server := servers.StartRedis(t)
	f := open(t, server.URL())
	f.mustBegin(f.ask("j", "a"), worker.Granted)
	ask := func(i int) worker.Ask {
		a := f.ask(fmt.Sprintf("%036d", i), "1#1")
		a.WcID = "wxid_1"
		return a
	}
	for i := range jobs {
		f.mustBegin(ask(i), worker.Held)
	}
	end := f.end("j", "a", job.Succeeded)
	end.Result.Login.Data = strings.Repeat("d", large)
	f.mustFinish(end, nil)
	before, sent := f.usedMemory(), f.sentBytes()
	for i := range jobs {
		a := ask(i)
		a.Have = "a"
		got := f.mustBegin(a, worker.Shared)
		got.Result = &end.Result
		f.takeOver(a.JobID, got, time.Time{}, nil)
	}
	each := (f.usedMemory() - before) / jobs
	f.wantAtMost("a job that shares a result of 16 KiB, in memory", each, 256)
	f.wantAtMost("a job that shares a result of 16 KiB, in replies", (f.sentBytes()-sent)/jobs, 512)
}

// sentBytes returns how much the server has sent.
func (f *fixture) sentBytes() int { return f.infoNumber("stats", "total_net_output_bytes") }
