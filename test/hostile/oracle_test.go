//go:build linux

package hostile

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

const (
	bound     = 3 * time.Second // beside the person's time
	podMemory = 128 << 20
	perOpen   = 24 << 10 // a confirmation
	memoryPad = 256 << 20
)

// stored is an event as it is in the stream.
type stored struct {
	*job.Event
	seq uint64
	at  time.Time
}

// row is a line of the table.
type row struct {
	name, what         string
	jobs, healthy      int
	wrong              int // jobs that did not end as they must
	mostOpen           int // prompts at once for one account
	p50, p99, max, own time.Duration
	peak               int64
	broken             []string // what was not as promised
	unbounded          string   // why the delay is not judged
}

// judge compares what the streams and the gateway have recorded with what was stored.
func (w *world) judge() (r row) {
	all := w.ledger.snapshot()
	r.unbounded, r.broken = w.stopsAll, w.broken
	events := w.events()
	letters := w.deadLetters()
	w.judgeEvents(&r, all, events, letters)
	w.judgePrompts(&r)
	w.judgeDelay(&r, all, events)
	for _, p := range w.pods {
		r.peak = max(r.peak, p.memory())
	}
	if allowed := int64(podMemory + memoryPad + perOpen*w.slots()); r.peak > allowed {
		r.breaks("a pod's memory reached %d MiB, of %d", r.peak>>20, allowed>>20)
	}
	if len(r.broken) > 0 {
		w.t.Error(strings.Join(r.broken, "\n"))
	}
	return r
}

func (r *row) breaks(format string, args ...any) {
	r.broken = append(r.broken, fmt.Sprintf(format, args...))
}

// key is what tells jobs apart. A job whose id the worker chooses has none here.
type key struct{ wcID, jobID string }

// judgeEvents sees that every job has its one event, or its dead letter, and no more.
func (w *world) judgeEvents(r *row, all []*posted, events []stored, letters map[uint64]int) {
	groups := map[key][]*posted{}
	for _, p := range all {
		if p.neighbour {
			r.healthy++
		} else {
			r.jobs++
		}
		groups[key{p.wcID, p.jobID}] = append(groups[key{p.wcID, p.jobID}], p)
	}
	byJob := map[key][]stored{}
	var errs []string
	for _, e := range events {
		k := key{e.WcID, e.JobID}
		if groups[k] == nil {
			k.jobID = ""
		}
		if groups[k] == nil {
			errs = append(errs, fmt.Sprintf("an event of a job that nobody sent: %s of %s, %s", e.JobID, e.WcID, e.Outcome))
		}
		byJob[k] = append(byJob[k], e)
	}
	for k, group := range groups {
		if k.wcID == "" {
			continue
		}
		errs = append(errs, endedWrong(group, byJob[k], letters)...)
	}
	for _, p := range all {
		if n := letters[p.seq]; p.dead && n != 1 || !p.dead && !p.orDead && n != 0 {
			errs = append(errs, fmt.Sprintf("job %s of %s, message %d, has %d dead letters", p.jobID, p.wcID, p.seq, n))
		}
	}
	if r.wrong = len(errs); r.wrong > 0 {
		slices.Sort(errs)
		r.breaks("%d jobs did not end as they must, such as: %s", r.wrong, strings.Join(errs[:min(4, len(errs))], "; "))
	}
}

// endedWrong compares the events of a job with how its messages must end.
func endedWrong(group []*posted, events []stored, letters map[uint64]int) (errs []string) {
	var want []*posted
	for _, p := range group {
		buried := p.orDead && letters[p.seq] == 1
		gone := p.optional && len(events) < len(group)
		if len(p.as) > 0 && !buried && !gone {
			want = append(want, p)
		}
	}
	slices.SortFunc(want, func(a, b *posted) int { return a.at.Compare(b.at) })
	p := group[0]
	if len(events) != len(want) {
		if !p.optional || len(events) > len(group) {
			return []string{fmt.Sprintf("job %s of %s has %d events, not %d%s", p.jobID, p.wcID, len(events), len(want), outcomesOf(events))}
		}
	}
	for i, e := range events[:min(len(events), len(want))] {
		if !slices.Contains(want[i].as, e.Outcome) {
			errs = append(errs, fmt.Sprintf("job %s of %s ended as %s (%s), not as %v", p.jobID, p.wcID, e.Outcome, e.Message, want[i].as))
		}
	}
	return errs
}

func outcomesOf(events []stored) (text string) {
	for _, e := range events {
		text += " " + string(e.Outcome)
	}
	return text
}

// judgePrompts sees that no account had two at once, and no job two at all.
func (w *world) judgePrompts(r *row) {
	r.mostOpen = w.gateway.Stats().MaxOpenPerAccount
	if r.mostOpen > 1 {
		r.breaks("%d prompts were open at once, of %v", r.mostOpen, w.gateway.Stats().Overlapping)
	}
	byJob := map[string][]gatewaytest.Prompt{}
	for _, p := range w.gateway.Prompts() {
		if p.AID != "" {
			byJob[p.AID] = append(byJob[p.AID], p)
		}
	}
	twice := 0
	for _, all := range byJob {
		if len(all) > 1 {
			twice++
		}
	}
	if twice > 0 && w.stopsAll == "" { // else Redis lost its data
		r.breaks("%d jobs made their phone ask twice", twice)
	}
}

// judgeDelay measures from a neighbour's publishing to its event, less the person's time.
func (w *world) judgeDelay(r *row, all []*posted, events []stored) {
	at := map[key]time.Time{}
	for _, e := range events {
		at[key{e.WcID, e.JobID}] = e.at
	}
	var alone, disturbed []time.Duration
	for _, p := range all {
		end, ended := at[key{p.wcID, p.jobID}]
		if !p.neighbour || !ended {
			continue
		}
		delay := max(0, end.Sub(p.at)-person)
		if p.disturbed {
			disturbed = append(disturbed, delay)
		} else {
			alone = append(alone, delay)
		}
	}
	_, r.own, _ = percentiles(alone)
	r.p50, r.p99, r.max = percentiles(disturbed)
	allowed := bound
	if !*long {
		allowed = max(allowed, 10*r.own+time.Second)
	}
	if r.max > allowed && w.stopsAll == "" {
		r.breaks("a neighbour's job was delayed by %v, of %v", r.max.Round(time.Millisecond), allowed.Round(time.Millisecond))
	}
	if len(disturbed) == 0 {
		r.breaks("no neighbour's job ended")
	}
}

func percentiles(all []time.Duration) (p50, p99, most time.Duration) {
	if len(all) == 0 {
		return 0, 0, 0
	}
	slices.Sort(all)
	return all[len(all)/2], all[len(all)*99/100], all[len(all)-1]
}

// events reads the events stream, with nothing of the product's but the decoder.
func (w *world) events() (all []stored) {
	w.read(eventStream, func(msg jetstream.Msg, meta *jetstream.MsgMetadata) {
		if w.ledger.forged[meta.Sequence.Stream] {
			return
		}
		e, err := job.DecodeEvent(msg.Data(), msg.Headers().Get("Content-Type"))
		if err != nil {
			w.t.Errorf("an event that can't be read: %v", err)
			return
		}
		all = append(all, stored{e, meta.Sequence.Stream, meta.Timestamp})
	})
	return all
}

// deadLetters returns how many there are of each message of the jobs stream.
func (w *world) deadLetters() map[uint64]int {
	letters := map[uint64]int{}
	w.read(deadStream, func(msg jetstream.Msg, _ *jetstream.MsgMetadata) {
		var seq, stored uint64
		id := strings.TrimPrefix(msg.Headers().Get(nats.MsgIdHdr), jobsStream+"-")
		if _, err := fmt.Sscanf(id, "%d-%d", &seq, &stored); err != nil {
			w.t.Errorf("a dead letter with the id %q", id)
		}
		letters[seq]++
	})
	return letters
}

// read calls each for every message of a stream.
func (w *world) read(stream string, each func(jetstream.Msg, *jetstream.MsgMetadata)) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	consumer, err := w.js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true})
	if err != nil {
		w.t.Errorf("read %s: %v", stream, err)
		return
	}
	for left := int(consumer.CachedInfo().NumPending); left > 0; {
		batch, err := consumer.Fetch(min(left, 1000), jetstream.FetchMaxWait(10*time.Second))
		if err != nil {
			w.t.Errorf("read %s: %v", stream, err)
			return
		}
		got := 0
		for msg := range batch.Messages() {
			if meta, err := msg.Metadata(); err == nil {
				each(msg, meta)
			}
			got++
		}
		if got == 0 {
			w.t.Errorf("read %s: %d messages do not come: %v", stream, left, batch.Error())
			return
		}
		left -= got
	}
}
