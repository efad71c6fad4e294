//go:build linux

package hostile

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker/job"
)

const (
	neighbourEvery = 50 * time.Millisecond
	shareEvery     = 10 // every tenth account sends as many jobs as sharers says at once, for one tap
	sharers        = 5
)

// neighbours sends jobs of healthy accounts, 20 a second and twice a second four more that
// share a tap, until stop is called, which blocks until all are stored. Each account is a
// new one.
func (w *world) neighbours() (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	nc := w.connect()
	js, err := jetstream.New(nc)
	if err != nil {
		w.t.Fatal(err)
	}
	var sending sync.WaitGroup
	sending.Go(func() {
		tick := time.NewTicker(neighbourEvery)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if w.hushed.Load() {
				continue
			}
			jobs := 1
			if i%shareEvery == 0 {
				jobs = sharers
			}
			account, lane := w.healthy(i), w.neighbourLane(i)
			for k := range jobs {
				sending.Go(func() { w.sendHealthy(js, account, fmt.Sprintf("healthy-%d-%d", i, k), lane) })
			}
		}
	})
	return func() { cancel(); sending.Wait() }
}

// quietly does what may cost the neighbours their jobs in a pod's hands, while there are none.
func (w *world) quietly(do func()) {
	w.hushed.Store(true)
	defer w.hushed.Store(false)
	time.Sleep(person + 800*time.Millisecond)
	do()
}

func (w *world) neighbourLane(i int) job.Lane {
	switch {
	case w.lane != "":
		return w.lane
	case i%2 == 0:
		return job.Normal
	}
	return job.Urgent
}

// healthy returns the name of a healthy account: where only some slots of the Cluster are
// well, of one of those.
func (w *world) healthy(i int) string {
	for k := 0; ; k++ {
		account := fmt.Sprintf("healthy_%d_%d", i, k)
		if w.others == nil || w.others(slotOf(account)) {
			return account
		}
	}
}

// sendHealthy publishes a job until it is stored: what it takes counts.
func (w *world) sendHealthy(js jetstream.JetStream, account, id string, lane job.Lane) {
	j := &job.Job{ID: id, AID: id, WcID: account}
	data, err := j.Encode(job.EncodingMsgpack)
	if err != nil {
		w.t.Error(err)
		return
	}
	p := &posted{wcID: account, jobID: id, at: time.Now(), ends: succeeds, neighbour: true, disturbed: w.disturbed.Load()}
	msg := &nats.Msg{Subject: jobSubject(lane), Header: nats.Header{nats.MsgIdHdr: {account + "/" + id}}, Data: data}
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		ack, err := js.PublishMsg(ctx, msg)
		cancel()
		if err == nil {
			p.seq = ack.Sequence
			w.ledger.add(p)
			return
		}
	}
	w.t.Errorf("a neighbour's job %s could not be published", id)
}
