package queue

import (
	"time"
)

const leastAckWait = time.Second

// consumerRules are about the two consumers of the jobs stream, and about that of [Consume].
func consumerRules(p *part[consumerConfig], have *consumerConfig) []rule {
	inPlace, remake, byHand := p.inPlace, p.remake, p.byHand
	who, what, one := "workers", "jobs", "a job"
	if p.kind == ofReader {
		who, what, one = "instances", "events", "an event"
	}
	paused := have.PauseUntil != nil && have.PauseUntil.After(time.Now())
	return []rule{
		{ofLane | ofReader, "deliver_subject", Breaks, always, remake, who + " can't ask it for " + what},
		{ofLane, "filter_subject", Breaks, always, inPlace, "jobs of the lane are not delivered, or another lane's are"},
		{ofLane, "filter_subjects", Breaks, always, inPlace, "jobs of the lane are not delivered, or another lane's are"},
		{ofReader, "filter_subject", Breaks, always, remake, "it delivers other events than those that were asked for"},
		{ofReader, "filter_subjects", Breaks, always, remake, "it delivers other events than those that were asked for"},
		{ofLane, "deliver_policy", Breaks, always, remake, "jobs that were there before it are never delivered"},
		{ofLane, "ack_policy", Breaks, always, remake, "a job counts as done before it has ended"},
		{ofReader, "ack_policy", Breaks, always, remake, "an event counts as handled before it is"},
		{ofLane, "replay_policy", Breaks, always, remake, "jobs are delivered as slowly as they came"},
		{ofLane, "mem_storage", Breaks, always, remake, "a restart of the server forgets which jobs were delivered before, and they have a second event"},
		{ofReader, "mem_storage", Breaks, always, remake, "a restart of the server forgets which events were handled"},
		{ofLane, "inactive_threshold", Breaks, always, inPlace, "it is deleted when no worker runs for so long"},
		{ofReader, "inactive_threshold", Breaks, always, inPlace, "it is deleted when nobody consumes for so long, and forgets which events were handled"},
		{ofLane, "headers_only", Breaks, always, inPlace, "jobs come without their bodies, and end as dead letters"},
		{ofReader, "headers_only", Breaks, always, inPlace, "events come without their bodies"},
		{ofLane, "max_deliver", Breaks, always, inPlace, "a job that was delivered so often stays in the stream unseen"},
		{ofReader, "max_deliver", Breaks, always, inPlace, "an event that was delivered so often is passed over without a word"},
		{ofLane, "max_ack_pending", Breaks, always, inPlace, "once so many jobs wait for their accounts, no other account's is delivered"},
		{ofReader, "max_ack_pending", Differs, always, inPlace, "so many events may be in handlers or wait to be handled again, of all instances together"},
		{ofLane, "backoff", Breaks, always, inPlace, "it stands in for the ack-wait, and distorts the delays of jobs that were handed back"},
		{ofReader, "backoff", Breaks, always, inPlace, "it stands in for the ack-wait, and distorts the pauses before an event is handled again"},
		{ofLane | ofReader, "ack_wait", Breaks, have.AckWait < leastAckWait, inPlace, what + " come back while they are worked on"},
		{ofLane, "ack_wait", Differs, always, inPlace, "after this a dead pod's jobs come back"},
		{ofReader, "ack_wait", Differs, always, inPlace, "after this the events of an instance that died are delivered to others"},
		{ofLane | ofReader, "max_batch", Breaks, always, inPlace, who + " that ask for more " + what + " get none"},
		{ofLane | ofReader, "max_expires", Breaks, always, inPlace, who + " that wait longer for " + one + " get none"},
		{ofLane | ofReader, "max_bytes", Breaks, always, inPlace, who + " that ask for more bytes get none"},
		{ofLane | ofReader, "priority_policy", Breaks, always, inPlace, who + ", who name no group, get no " + what},
		{ofLane | ofReader, "priority_groups", Breaks, always, inPlace, who + ", who name no group, get no " + what},
		{ofLane, "priority_timeout", Breaks, always, inPlace, "workers, who name no group, get no jobs"},
		{ofLane, "max_waiting", Differs, always, remake, "so many requests for jobs can wait, of all pods together"},
		{ofLane, "num_replicas", Differs, always, inPlace, "its state is kept by so many servers; 0: as many as keep the stream"},
		{ofLane | ofReader, "pause_until", Differs, paused, byHand, "it delivers no " + what + " until then"},
	}
}
