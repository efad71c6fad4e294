//go:build linux

package hostile

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

// attack is what a case misbehaves with: jobs whose accounts begin with its name, a gateway
// of its own, and two tenants.
type attack struct {
	*world
	ctx        context.Context
	name       string
	tenant     string // its gateway is there
	tenantHere string // its gateway is the neighbours', its credential is its own
	there      *front
	js         jetstream.JetStream
	conn       *nats.Conn
	next       atomic.Int64
	published  sync.WaitGroup
}

func newAttack(w *world, c hostileCase) *attack {
	a := &attack{world: w, ctx: w.t.Context(), name: c.name, tenant: c.name, tenantHere: c.name + "-here", there: newFront(w.t, w.gateway)}
	a.conn = w.connect()
	var err error
	if a.js, err = jetstream.New(a.conn, jetstream.WithPublishAsyncMaxPending(512)); err != nil {
		w.t.Fatal(err)
	}
	for _, tenant := range []string{a.tenant, a.tenantHere} {
		w.replace(tenant+".credential", "of "+tenant)
	}
	return a
}

// credential returns the path of a tenant's credential.
func (a *attack) credential(tenant string) string { return filepath.Join(a.dir, tenant+".credential") }

// scaled returns the share of a full number that -size asks for, at least five.
func scaled(full int) int { return max(5, int(float64(full)**size)) }

// during returns the share of a full time that -size asks for, at least two seconds.
func during(full time.Duration) time.Duration {
	return max(2*time.Second, time.Duration(float64(full)**size))
}

// account returns the name of one of the attack's accounts. To the simulated gateway the
// part before the first "-" must mean nothing.
func (a *attack) account(i int) string { return fmt.Sprintf("at_%s_%d", a.name, i) }

// mine tells whether the account is one of the attack's.
func (a *attack) mine(wcID string) bool { return strings.HasPrefix(wcID, "at_"+a.name+"_") }

// job returns a job of an account, with an id of its own.
func (a *attack) job(wcID string) *job.Job {
	id := fmt.Sprintf("%s-%d", a.name, a.next.Add(1))
	return &job.Job{ID: id, AID: id, WcID: wcID}
}

// send publishes a job on the normal lane, and notes how it must end.
func (a *attack) send(j *job.Job, e ends) { a.sendOn(job.Normal, j, e) }

func (a *attack) sendOn(lane job.Lane, j *job.Job, e ends) {
	data, err := j.Encode(job.EncodingMsgpack)
	if err != nil {
		a.fails("%v", err)
		return
	}
	a.post(&nats.Msg{Subject: jobSubject(lane), Data: data}, j.WcID, j.ID, e)
}

func jobSubject(lane job.Lane) string { return namespace + ".jobs." + string(lane) }

// post publishes a message. An empty wcID says that no event can tell of it, an empty
// jobID that the worker chooses one. It returns before the server has acknowledged it.
func (a *attack) post(msg *nats.Msg, wcID, jobID string, e ends) {
	p := &posted{wcID: wcID, jobID: jobID, at: time.Now(), ends: e}
	future, err := a.js.PublishMsgAsync(msg)
	if err != nil {
		a.fails("publish a job of %s: %v", a.name, err)
		return
	}
	a.published.Go(func() {
		select {
		case ack := <-future.Ok():
			p.seq = ack.Sequence
			a.ledger.add(p)
		case err := <-future.Err():
			a.fails("publish a job of %s: %v", a.name, err)
		}
	})
}

const floodRate = 1000 // a second

// flood calls send so many times, at a steady rate.
func (a *attack) flood(count int, send func(i int)) { a.floodAt(floodRate, count, send) }

func (a *attack) floodAt(perSecond, count int, send func(i int)) {
	began := time.Now()
	for i := range count {
		if early := time.Duration(i)*time.Second/time.Duration(perSecond) - time.Since(began); early > 5*time.Millisecond {
			a.pause(early)
		}
		if a.ctx.Err() != nil {
			return
		}
		send(i)
	}
}

// keepOn repeats do, with a pause between, for so long.
func (a *attack) keepOn(length, every time.Duration, do func(i int)) {
	for i, until := 0, time.Now().Add(length); time.Now().Before(until) && a.ctx.Err() == nil; i++ {
		do(i)
		a.pause(every)
	}
}

func (a *attack) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-a.ctx.Done():
	}
}

// ended returns how many of the case's accounts have an event of the outcome.
func (a *attack) ended(outcome job.Outcome) (n int) {
	stream, err := a.js.Stream(a.ctx, eventsStream)
	var info *jetstream.StreamInfo
	if err == nil {
		info, err = stream.Info(a.ctx, jetstream.WithSubjectFilter(namespace+".events."+string(outcome)+".>"))
	}
	if err != nil {
		a.fails("%v", err)
		return 0
	}
	for subject := range info.State.Subjects {
		if a.mine(subject[strings.LastIndexByte(subject, '.')+1:]) {
			n++
		}
	}
	return n
}

// waitOpen blocks until the account's phone asks, at most ten seconds.
func (a *attack) waitOpen(wcID string) {
	ctx, cancel := context.WithTimeout(a.ctx, 10*time.Second)
	defer cancel()
	if err := a.gateway.WaitOpen(ctx, wcID); err != nil {
		a.fails("the phone of %s does not ask", wcID)
	}
}

// crowd has so many jobs wait for one tap of an account, which does not come by itself.
func (a *attack) crowd(wcID string, count int, e ends) {
	a.crowdWith(wcID, count, gatewaytest.Behaviour{Manual: true}, e)
}

func (a *attack) crowdWith(wcID string, count int, b gatewaytest.Behaviour, e ends) {
	a.gateway.Set(wcID, b)
	a.send(a.job(wcID), e)
	a.waitOpen(wcID)
	for range count - 1 {
		a.send(a.job(wcID), e)
	}
}

// tap confirms on the account's phone.
func (a *attack) tap(wcID string) {
	a.gateway.Set(wcID, gatewaytest.Behaviour{})
	if !a.gateway.Answer(wcID, gatewaytest.Confirm) {
		a.fails("nothing to confirm on the phone of %s", wcID)
	}
}

// answersAt has a gateway answer in another way to the attack's accounts, and with list
// to those who ask for its online list, until it is taken away.
func (a *attack) answersAt(at *front, list bool, answer http.HandlerFunc) (remove func()) {
	return at.with(func(w http.ResponseWriter, r *http.Request, wcID string) bool {
		if wcID == "" && !list || wcID != "" && !a.mine(wcID) {
			return false
		}
		answer(w, r)
		return true
	})
}

// settled blocks until the attack's messages are acknowledged.
func (a *attack) settled() { a.published.Wait() }
