package cache

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

// model is one account as the tables in doc.go tell it, the specification that the
// scripts are checked against. The caller has removed what ended ([model.expire]) before
// it asks for anything.
type model struct {
	rules   *rules
	lock    *modelLock
	jobs    map[string]modelJob
	last    map[string]modelLast // by tenant
	waiting int64                // until when; 0: nobody waits
	cool    modelCool
	prompts []int64
	counted int64 // until when the prompts are known
	snoozed map[string]modelCount
	places  map[string]int64 // of a tenant: when the next is free, in µs
}

type rules struct {
	lease, minConfirm, jobMemory, eventMaxAge time.Duration
	dailyPrompts                              int
	rate                                      float64
}

type modelLock struct {
	token, job, tenant, pod string
	prompted                int64 // 0: not counted
	until                   int64
}

type modelJob struct {
	kind   string // waits, took, open, done, void or mark
	token  string // waits, took, open
	tenant string // waits, took
	since  int64  // waits, took: when it was first told to wait
	stored time.Time
	result job.Result // done
	digest string     // void
	until  int64
}

type modelLast struct {
	token, job string
	at, until  int64
	result     job.Result
}

type modelCool struct {
	reason string // empty: it may be asked
	until  int64
}

type modelCount struct {
	n     int
	until int64
}

const day = 24 * time.Hour

func newModel(r *rules) *model {
	return &model{
		rules: r, jobs: map[string]modelJob{}, last: map[string]modelLast{},
		snoozed: map[string]modelCount{}, places: map[string]int64{},
	}
}

// clone returns a copy that shares nothing that changes.
func (m *model) clone() *model {
	c := *m
	c.jobs, c.last, c.snoozed, c.places = maps.Clone(m.jobs), maps.Clone(m.last), maps.Clone(m.snoozed), maps.Clone(m.places)
	c.prompts = slices.Clone(m.prompts)
	if m.lock != nil {
		lock := *m.lock
		c.lock = &lock
	}
	return &c
}

// expire removes what has ended, in the same order each time.
func (m *model) expire(over func(until int64) bool) {
	if m.lock != nil && over(m.lock.until) {
		m.lock = nil
	}
	if m.cool.reason != "" && over(m.cool.until) {
		m.cool = modelCool{}
	}
	if m.waiting != 0 && over(m.waiting) {
		m.waiting = 0
	}
	if len(m.prompts) > 0 && over(m.counted) {
		m.prompts = nil
	}
	expireAll(m.last, func(l modelLast) bool { return over(l.until) })
	expireAll(m.jobs, func(j modelJob) bool { return over(j.until) })
	expireAll(m.snoozed, func(c modelCount) bool { return over(c.until) })
}

func expireAll[V any](all map[string]V, over func(V) bool) {
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if over(all[key]) {
			delete(all, key)
		}
	}
}

// voids tells whether who asks with token says that the grant of other was not used.
func voids(token, other string) bool {
	i, j := strings.LastIndexByte(token, '#'), strings.LastIndexByte(other, '#')
	if token == other || i < 0 || j < 0 || token[:i] != other[:j] {
		return token == other
	}
	number, err := strconv.Atoi(token[i+1:])
	before, errBefore := strconv.Atoi(other[j+1:])
	return err == nil && errBefore == nil && before < number
}

// void undoes what the token, or an earlier one of its attempts, was granted.
func (m *model) void(job, token string) {
	if j := m.jobs[job]; j.kind == "open" && voids(token, j.token) {
		delete(m.jobs, job)
	}
	if m.lock == nil || !voids(token, m.lock.token) {
		return
	}
	if i := slices.Index(m.prompts, m.lock.prompted); i >= 0 {
		m.prompts = slices.Delete(m.prompts, i, i+1)
	}
	m.lock = nil
}

// begin is the table of Begin, row by row. The answer's Now is left out.
func (m *model) begin(now int64, a worker.Ask) worker.Answer {
	if j := m.jobs[a.JobID]; j.kind == "mark" {
		return worker.Answer{State: worker.Ended}
	} else if j.kind == "done" {
		return worker.Answer{State: worker.Done, ConcludedBefore: true, Result: &j.result, Since: j.stored}
	}
	known := m.jobs[a.JobID].kind == "took"
	answer := m.ask(now, a)
	answer.ConcludedBefore = known
	return answer
}

// ask is begin for a job that has not ended by itself.
func (m *model) ask(now int64, a worker.Ask) worker.Answer {
	m.void(a.JobID, a.Token)
	job, last, ended := m.jobs[a.JobID], m.last[a.Tenant], m.last[a.Tenant].token != ""
	shared := worker.Answer{State: worker.Shared, Token: last.token, By: last.job}
	if last.token != a.Have {
		shared.Result = &last.result
	}
	left := int64(1<<62) - now
	if !a.Deadline.IsZero() {
		left = a.Deadline.UnixMilli() - now
	}
	switch {
	case job.kind == "open" && (m.lock == nil || m.lock.token != job.token):
		return worker.Answer{State: worker.InDoubt, Token: job.token}
	case job.kind == "open":
		return m.held(now, a)
	case (job.kind == "waits" || job.kind == "took") && ended && (last.token == job.token || last.at >= job.since):
		return shared
	case m.lock != nil && ended && last.token == m.lock.token:
		return shared
	case m.lock != nil && left <= 0:
		return worker.Answer{State: worker.TooLate}
	case m.lock != nil:
		m.wait(now, a, job)
		return m.held(now, a)
	case left < m.rules.minConfirm.Milliseconds():
		return worker.Answer{State: worker.TooLate}
	case m.cool.reason != "":
		return worker.Answer{State: worker.Cooling, Reason: m.cool.reason, RetryAt: time.UnixMilli(m.cool.until)}
	}
	if n := m.rules.dailyPrompts; n > 0 && len(m.prompts) >= n {
		if again := m.prompts[len(m.prompts)-n] + day.Milliseconds(); again > now {
			return worker.Answer{State: worker.Cooling, RetryAt: time.UnixMilli(again),
				Reason: fmt.Sprintf("the account had its %d prompts of 24 hours", n)}
		}
	}
	m.grant(now, a)
	return worker.Answer{State: worker.Granted}
}

func (m *model) held(now int64, a worker.Ask) worker.Answer {
	return worker.Answer{State: worker.Held, Token: m.lock.token, Own: m.lock.job == a.JobID, By: m.lock.job,
		Pod: m.lock.pod, Wait: time.Duration(m.lock.until-now) * time.Millisecond}
}

// wait remembers that the job was told of the lock, once for each token.
func (m *model) wait(now int64, a worker.Ask, job modelJob) {
	if job.kind == "took" {
		m.waiting = now + millis(m.rules.lease+time.Minute)
		return
	}
	if job.kind != "waits" {
		job = modelJob{kind: "waits", since: now, tenant: a.Tenant}
	}
	if job.token != m.lock.token {
		job.token, job.until = m.lock.token, now+millis(m.rules.lease+time.Minute)
		m.jobs[a.JobID], m.waiting = job, job.until
	}
}

func (m *model) grant(now int64, a worker.Ask) {
	m.lock = &modelLock{token: a.Token, job: a.JobID, tenant: a.Tenant, pod: a.Pod, until: now + millis(m.rules.lease)}
	m.jobs[a.JobID] = modelJob{kind: "open", token: a.Token, stored: a.StoredAt, until: now + millis(m.rules.eventMaxAge)}
	if n := m.rules.dailyPrompts; n > 0 {
		m.lock.prompted = now
		m.prompts = append(m.prompts, now)
		m.prompts = m.prompts[max(len(m.prompts)-n, 0):]
		m.counted = now + millis(day)
	}
}

// finish is the table of Finish.
func (m *model) finish(now int64, end worker.Conclusion) (worker.Finished, error) {
	j, known := m.jobs[end.JobID]
	if end.Result.Outcome == job.Invalid {
		return m.finishVoid(now, end, j)
	}
	alone := j.kind == "waits" && j.since < unixMilli(end.SoleUntil)
	finished := worker.Finished{Result: end.Result, First: j.kind == "open" || end.Token == "" && alone}
	switch {
	case j.kind == "mark":
		return worker.Finished{Result: end.Result}, worker.ErrEnded
	case j.kind == "done":
		return worker.Finished{Result: j.result, ConcludedBefore: !j.result.FinishedAt.Equal(end.Result.FinishedAt)}, nil
	case j.kind == "open" && j.token != end.Token:
		return worker.Finished{}, worker.ErrSuperseded
	case end.Result.SharedWith != "" && end.Token == "":
		finished.ConcludedBefore = j.kind == "took"
		m.take(now, end, j)
		return finished, nil
	}
	m.jobs[end.JobID] = modelJob{kind: "done", stored: end.StoredAt, result: end.Result, until: now + millis(m.rules.eventMaxAge)}
	if end.Token == "" {
		return finished, nil
	}
	if end.Cooldown > 0 {
		m.cool = modelCool{reason: "the account's last confirmation ended with " + string(end.Result.Outcome), until: now + millis(end.Cooldown)}
	}
	last := modelLast{token: end.Token, job: end.JobID, at: now, until: now + millis(m.rules.lease), result: end.Result}
	waits, there := m.waiting != 0, m.last[end.Tenant].token != ""
	if m.lock != nil && m.lock.token == end.Token {
		if waits || end.Keep {
			m.last[end.Tenant] = last
		}
		if !end.Keep {
			m.lock = nil
		}
		if known { // else another delivery may have ended it, and its mark expired
			return finished, nil
		}
	} else if m.lock == nil && waits && !there && end.Result.Outcome != job.Unknown {
		m.last[end.Tenant] = last
	}
	return worker.Finished{Result: end.Result, ConcludedBefore: true}, worker.ErrLeaseLost
}

// finishVoid remembers a message that is an invalid job.
func (m *model) finishVoid(now int64, end worker.Conclusion, job modelJob) (worker.Finished, error) {
	switch job.kind {
	case "mark", "done":
		return worker.Finished{Result: end.Result}, worker.ErrEnded
	case "open", "waits", "took":
		return worker.Finished{}, worker.ErrSuperseded
	case "void":
		if job.digest == end.Digest {
			return worker.Finished{Result: end.Result, ConcludedBefore: true, Since: time.UnixMilli(unixMilli(job.stored))}, nil
		}
	}
	if m.rules.jobMemory > 0 {
		m.jobs[end.JobID] = modelJob{kind: "void", stored: end.StoredAt, digest: end.Digest, until: now + millis(m.rules.jobMemory)}
	}
	return worker.Finished{Result: end.Result, First: true}, nil
}

// take remembers that the job took over the outcome of another's confirmation.
func (m *model) take(now int64, end worker.Conclusion, job modelJob) {
	switch job.kind {
	case "took":
		return
	case "", "void":
		job = modelJob{token: end.Shared, since: now, tenant: end.Tenant}
	}
	job.kind, job.until = "took", now+millis(m.rules.eventMaxAge)
	m.jobs[end.JobID] = job
}

// release tells whether somebody may wait.
func (m *model) release(a worker.Ask) bool {
	m.void(a.JobID, a.Token)
	return m.waiting != 0
}

func (m *model) shrink(now int64, job string) {
	if kind := m.jobs[job].kind; kind != "done" && kind != "took" {
		return
	}
	m.jobs[job] = modelJob{kind: "mark", until: now + millis(m.rules.jobMemory)}
	if m.rules.jobMemory == 0 {
		delete(m.jobs, job)
	}
	delete(m.snoozed, job)
}

func (m *model) snooze(now int64, job string) {
	if m.jobs[job].kind != "mark" {
		m.snoozed[job] = modelCount{m.snoozed[job].n + 1, now + millis(m.rules.eventMaxAge)}
	}
}

// reserve gives out places that are one interval apart, and as many at once as a second
// has, at least one.
func (m *model) reserve(now int64, tenant string, ahead time.Duration) (time.Duration, bool) {
	if m.rules.rate == 0 {
		return 0, true
	}
	interval, at := int64(1e6/m.rules.rate), now*1000
	next := max(m.places[tenant], at) + interval
	wait := max(next-max(1e6, interval)-at, 0)
	if wait > ahead.Microseconds() {
		return time.Duration(wait) * time.Microsecond, false
	}
	m.places[tenant] = next
	return time.Duration(wait) * time.Microsecond, true
}
