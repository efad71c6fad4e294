package cockpit

import (
	"context"
	"fmt"
	"slices"

	"github.com/relogin/relogin/cache"
	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker"
)

// Job is where one job of an account is.
type Job struct {
	JobID   string            `json:"jobId"`
	State   JobState          `json:"state"`
	Verdict Verdict           `json:"verdict"`
	Record  *cache.Record     `json:"record"`
	Letter  *queue.DeadLetter `json:"-"`
}

// JobState is where a job is.
type JobState string

// The states.
const (
	JobQueued  JobState = "queued"  // in the queue: it was not delivered yet, or handed back
	JobTaken   JobState = "taken"   // a pod works on it
	JobWaiting JobState = "waiting" // a pod has it wait
	JobAsking  JobState = "asking"  // its phone asks
	JobEnded   JobState = "ended"   // it has its event
	JobDead    JobState = "dead"    // it is in the dead stream
	JobUnknown JobState = "unknown" // there is no trace of it
)

// Job returns where the account's job is. It blocks as [Sources.Account], which it asks.
func (s *Sources) Job(ctx context.Context, a *Account, id string) (*Job, error) {
	j := &Job{JobID: id}
	var err error
	if j.Record, err = s.Redis.Job(ctx, a.WcID, id); err != nil {
		return nil, err
	}
	for l, err := range s.Letters.All(ctx, queue.DeadLetterFilter{WcID: a.WcID, JobID: id}) {
		if err != nil {
			return nil, err
		}
		j.Letter = l
	}
	j.State, j.Verdict = j.judge(a)
	return j, nil
}

func (j *Job) judge(a *Account) (JobState, Verdict) {
	if i := slices.IndexFunc(a.Jobs, func(one PodJob) bool { return one.JobID == j.JobID }); i >= 0 {
		one := a.Jobs[i]
		switch {
		case one.Doing == worker.Asking:
			return JobAsking, say(Well, "Its phone asks since %s, pod %s; until %s at the latest.", clock(one.Since), one.Pod, clock(one.Until))
		case one.Doing == worker.Waiting && one.Reason == worker.WaitsForAccount:
			return JobWaiting, say(Well, "It waits in pod %s since %s, for the confirmation of job %s in pod %s.", one.Pod, clock(one.Since), one.Behind, one.Holder)
		case one.Doing == worker.Waiting:
			r := reasons[one.Reason]
			return JobWaiting, say(Look, "In pod %s since %s: it %s.", one.Pod, clock(one.Since), phrase(r.text)).to(r.do)
		}
		return JobTaken, say(Well, "Pod %s works on it since %s.", one.Pod, clock(one.Since))
	}
	if i := slices.IndexFunc(a.Queued, func(one QueuedJob) bool { return one.JobID == j.JobID }); i >= 0 {
		one := *a
		one.Queued = a.Queued[i : i+1]
		return JobQueued, one.judgeQueued()
	}
	for _, e := range slices.Backward(a.Events) {
		if e.JobID == j.JobID {
			var how Phrases
			if j.Letter != nil {
				how = Phrases{phrase(" It is in the dead stream, too: relogin dead show %d.", j.Letter.Sequence)}
			}
			var where Phrases
			if e.Worker != "" {
				where = Phrases{phrase(", in pod %s", e.Worker)}
			}
			return JobEnded, say(Well, "It ended as %s at %s%s.%s", e.Outcome, clock(e.FinishedAt), where, how)
		}
	}
	switch {
	case j.Letter != nil:
		return JobDead, say(Trouble, "It could not be processed: %s.", j.Letter.Reason).to(fmt.Sprintf("relogin dead show %d", j.Letter.Sequence))
	case j.Record.State == cache.RecordTombstone:
		return JobEnded, say(Well, "It has ended, and its event is stored: older than the events that are shown, or deleted.")
	case j.Record.State != cache.RecordNone:
		return JobTaken, say(Look, "No pod has it now, and Redis knows of it (%s): its pod died, or it is about to come back.", j.Record.State).to("wait for --ack-wait")
	}
	return JobUnknown, say(Look, "There is no trace of it: it was never stored, or it ended longer ago than --job-memory and --event-max-age.").to("check id and wcId; relogin submit sends it again")
}
