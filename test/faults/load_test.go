//go:build linux

package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

// load is the upstream: it publishes jobs, and knows which are stored.
type load struct {
	w      *world
	random *rand.Rand

	mu      sync.Mutex
	next    int
	jobs    map[string]*job.Job // stored, by id
	lanes   map[string]job.Lane // of these; empty for one that was stored in both
	recent  []*job.Job          // of these, the last
	invalid map[string]bool     // of those: they break the contract's rules
	dead    int                 // stored, and not even a job
	again   []*job.Job          // to be published a second time
	held    bool
}

const (
	hotAccounts = 30
	jobsEvery   = 18 * time.Millisecond
	recentJobs  = 50 // about a second's
)

func newLoad(w *world) *load {
	return &load{
		w: w, random: rand.New(rand.NewPCG(w.random.Uint64(), 1)),
		jobs: map[string]*job.Job{}, lanes: map[string]job.Lane{}, invalid: map[string]bool{},
	}
}

// run publishes until ctx ends, and returns when everything that was published is stored.
func (l *load) run(ctx context.Context) {
	var publishing sync.WaitGroup
	for slots := make(chan struct{}, 200); ctx.Err() == nil; time.Sleep(jobsEvery) {
		msg, stored := l.message()
		slots <- struct{}{}
		publishing.Go(func() {
			l.store(msg)
			stored()
			<-slots
		})
	}
	publishing.Wait()
}

// store publishes until the server has acknowledged the message, as often as it takes.
func (l *load) store(msg *nats.Msg) {
	for !l.w.stop.Load() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		_, err := l.w.js.PublishMsg(ctx, msg)
		cancel()
		if err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// message makes up the next message; stored must be called when it is acknowledged.
func (l *load) message() (msg *nats.Msg, stored func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	j, again := l.job()
	lane := job.Normal
	if l.random.IntN(4) == 0 {
		lane = job.Urgent
	}
	msg = &nats.Msg{Subject: namespace + ".jobs." + string(lane), Header: nats.Header{jetstream.MsgIDHeader: {fmt.Sprint("m", l.next)}}}
	encoding := []job.Encoding{job.EncodingMsgpack, job.EncodingJSON}[l.random.IntN(2)]
	msg.Data, _ = j.Encode(encoding)
	broken := false
	switch n := l.random.IntN(200); {
	case again:
	case n < 2: // not a job
		msg.Data = []byte("\xc1 nothing that can be read")
		return msg, func() { l.count(func() { l.dead++ }) }
	case n < 4: // a job that breaks the rules
		broken = true
		j.Labels = map[string]string{"long": strings.Repeat("x", 300)}
		msg.Data, _ = j.Encode(encoding)
	}
	return msg, func() {
		l.count(func() {
			l.note(j, lane)
			if broken {
				l.invalid[j.ID] = true
			} else if !again && l.random.IntN(20) == 0 {
				l.again = append(l.again, j)
			}
		})
	}
}

// note has it that the job is stored in the lane. l.mu is held.
func (l *load) note(j *job.Job, lane job.Lane) {
	if before, again := l.lanes[j.ID]; again && before != lane {
		lane = ""
	}
	l.jobs[j.ID], l.lanes[j.ID] = j, lane
	l.recent = append(l.recent, j)
	l.recent = l.recent[max(0, len(l.recent)-recentJobs):]
}

// some returns one of the jobs that were stored last, nil while there is none.
func (l *load) some(random *rand.Rand) *job.Job {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.recent) == 0 {
		return nil
	}
	return l.recent[random.IntN(len(l.recent))]
}

// job returns a new job, or one that is published again.
func (l *load) job() (j *job.Job, again bool) {
	if len(l.again) > 0 && l.random.IntN(10) == 0 {
		j = l.again[0]
		l.again = l.again[1:]
		return j, true
	}
	id := fmt.Sprintf("job-%d", l.next)
	j = &job.Job{ID: id, AID: id, WcID: fmt.Sprintf("hot_%d", l.random.IntN(hotAccounts))}
	switch n := l.random.IntN(100); {
	case n < 30:
		j.WcID = fmt.Sprintf("once_%d", l.next)
	case n < 45:
		j.Tenant = "other"
	case n < 48:
		j.Tenant = lateTenant
	case n < 55:
		j.Deadline = time.Now().Add(2*time.Second + time.Duration(l.random.Int64N(int64(20*time.Second))))
	}
	return j, false
}

// comesBack tells whether the job's first event may say that it is invalid: its tenant was not
// known, and its dead letter was replayed when it was.
func (l *load) comesBack(id string) bool {
	j := l.jobs[id]
	return j != nil && j.Tenant == lateTenant && !l.invalid[id]
}

func (l *load) count(how func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	how()
}

// stored returns how many jobs are stored.
func (l *load) stored() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.jobs)
}

// people changes what the hot accounts' phones do, until ctx ends.
func (l *load) people(ctx context.Context) {
	for ctx.Err() == nil {
		l.mu.Lock()
		account, b, held := fmt.Sprintf("hot_%d", l.random.IntN(hotAccounts)), l.mood(), l.held
		l.mu.Unlock()
		if !held {
			l.w.gateway.Set(account, b)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// mood is mostly a good one.
func (l *load) mood() gatewaytest.Behaviour {
	faults := []gatewaytest.Fault{
		gatewaytest.ServerError, gatewaytest.Reset, gatewaytest.Hang, gatewaytest.Garbage, gatewaytest.Empty,
		gatewaytest.Half, gatewaytest.Redirect, gatewaytest.Busy,
	}
	switch n := l.random.IntN(20); n {
	case 0:
		return gatewaytest.Behaviour{Answer: gatewaytest.Decline}
	case 1:
		return gatewaytest.Behaviour{Answer: gatewaytest.Ignore}
	case 2:
		return gatewaytest.Behaviour{Answer: gatewaytest.Scan, Nested: true}
	case 3, 4:
		return gatewaytest.Behaviour{Fault: faults[l.random.IntN(len(faults))]}
	}
	return gatewaytest.Behaviour{}
}

// hold makes all hot accounts behave so until release is called.
func (l *load) hold(b gatewaytest.Behaviour) (release func()) {
	set := func(held bool, b gatewaytest.Behaviour) {
		l.count(func() { l.held = held })
		for i := range hotAccounts {
			l.w.gateway.Set(fmt.Sprintf("hot_%d", i), b)
		}
	}
	set(true, b)
	return func() { set(false, gatewaytest.Behaviour{}) }
}
