package bench

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/relogin/relogin/worker"
)

// load is the jobs of a run. Their accounts are no others': the run's letters are in
// their names.
type load struct {
	run            string // eight random letters
	jobCount       int
	accounts       int
	accountPattern string
}

func newLoad(s *LoadSettings) load {
	letters := make([]byte, 8)
	for i := range letters {
		letters[i] = 'a' + byte(rand.IntN(26))
	}
	run := string(letters)
	return load{run: run, jobCount: s.Jobs, accounts: s.Accounts, accountPattern: "bench_" + run + "_%d"}
}

// job returns the job of that number. The gateway is told its id as aid, so that the
// prompt tells whose it was. Jobs of one account are as far from each other as can be.
func (l load) job(number int) *worker.Job {
	id := strconv.Itoa(number)
	return &worker.Job{ID: id, AID: id, WcID: fmt.Sprintf(l.accountPattern, number%l.accounts), Tenant: "default"}
}

func (l load) jobs() iter.Seq[*worker.Job] {
	return func(yield func(*worker.Job) bool) {
		for i := range l.jobCount {
			if !yield(l.job(i)) {
				return
			}
		}
	}
}

// number returns the number of the job whose id it is.
func (l load) number(id string) (int, bool) {
	n, err := strconv.Atoi(id)
	return n, err == nil && n >= 0 && n < l.jobCount
}

// paced yields so many jobs a second, until ctx ends. After a delay those that are due
// come at once.
func paced(ctx context.Context, rate float64, jobs iter.Seq[*worker.Job]) iter.Seq[*worker.Job] {
	return func(yield func(*worker.Job) bool) {
		start, given := time.Now(), 0
		for j := range jobs {
			due := start.Add(time.Duration(float64(given) / rate * float64(time.Second)))
			if wait := time.Until(due); wait > 0 {
				select {
				case <-time.After(wait):
				case <-ctx.Done():
					return
				}
			}
			if !yield(j) {
				return
			}
			given++
		}
	}
}
