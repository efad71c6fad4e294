package queue

import (
	"time"
)

// laneRules are about the two consumers of the jobs stream.
func laneRules(_ *Config, have, _ *consumerConfig) []rule {
	return []rule{
		{"deliver_subject", Breaks, always, remake, "workers can't ask it for jobs"},
		{"filter_subject", Breaks, always, inPlace, "jobs of the lane are not delivered, or another lane's are"},
		{"filter_subjects", Breaks, always, inPlace, "jobs of the lane are not delivered, or another lane's are"},
		{"deliver_policy", Breaks, always, remake, "jobs that were there before it are never delivered"},
		{"ack_policy", Breaks, always, remake, "a job counts as done before it has ended"},
		{"replay_policy", Breaks, always, remake, "jobs are delivered as slowly as they came"},
		{"mem_storage", Breaks, always, remake, "a restart of the server forgets which jobs were delivered before, and they have a second event"},
		{"inactive_threshold", Breaks, always, inPlace, "it is deleted when no worker runs for so long"},
		{"headers_only", Breaks, always, inPlace, "jobs come without their bodies, and end as dead letters"},
		{"max_deliver", Breaks, always, inPlace, "a job that was delivered so often stays in the stream unseen"},
		{"max_ack_pending", Breaks, always, inPlace, "once so many jobs wait for their accounts, no other account's is delivered"},
		{"backoff", Breaks, always, inPlace, "it stands in for the ack-wait, and distorts the delays of jobs that were handed back"},
		{"ack_wait", Breaks, have.AckWait < leastAckWait, inPlace, "jobs come back while they are worked on"},
		{"ack_wait", Differs, always, inPlace, "after this a dead pod's jobs come back"},
		{"max_batch", Breaks, always, inPlace, "workers that ask for more jobs get none"},
		{"max_expires", Breaks, always, inPlace, "workers that wait longer for a job get none"},
		{"max_bytes", Breaks, always, inPlace, "workers that ask for more bytes get none"},
		{"priority_policy", Breaks, always, inPlace, "workers, who name no group, get no jobs"},
		{"priority_groups", Breaks, always, inPlace, "workers, who name no group, get no jobs"},
		{"priority_timeout", Breaks, always, inPlace, "workers, who name no group, get no jobs"},
		{"max_waiting", Differs, always, remake, "so many requests for jobs can wait, of all pods together"},
		{"num_replicas", Differs, always, inPlace, "its state is kept by so many servers; 0: as many as keep the stream"},
		{"pause_until", Differs, paused(have), resume, "it delivers no job until then"},
	}
}

// eventRules are about the consumer of [Consume].
func eventRules(_ *Config, have, _ *consumerConfig) []rule {
	return []rule{
		{"deliver_subject", Breaks, always, remake, "it can't be asked for events"},
		{"filter_subject", Breaks, always, remake, "it delivers other events than those that were asked for"},
		{"filter_subjects", Breaks, always, remake, "it delivers other events than those that were asked for"},
		{"ack_policy", Breaks, always, remake, "an event counts as handled before it is"},
		{"mem_storage", Breaks, always, remake, "a restart of the server forgets which events were handled"},
		{"inactive_threshold", Breaks, always, inPlace, "it is deleted when nobody consumes for so long, and forgets which events were handled"},
		{"headers_only", Breaks, always, inPlace, "events come without their bodies"},
		{"max_deliver", Breaks, always, inPlace, "an event that was delivered so often is passed over without a word"},
		{"backoff", Breaks, always, inPlace, "it stands in for the ack-wait, and distorts the pauses before an event is handled again"},
		{"ack_wait", Breaks, have.AckWait < leastAckWait, inPlace, "events come back while they are handled"},
		{"ack_wait", Differs, always, inPlace, "after this the events of an instance that died are delivered to others"},
		{"max_ack_pending", Differs, always, inPlace, "so many events may be in handlers or wait to be handled again, of all instances together"},
		{"max_batch", Breaks, always, inPlace, "an instance that asks for more events gets none"},
		{"max_expires", Breaks, always, inPlace, "an instance that waits longer for an event gets none"},
		{"max_bytes", Breaks, always, inPlace, "an instance that asks for more bytes gets none"},
		{"priority_policy", Breaks, always, inPlace, "instances, which name no group, get no events"},
		{"priority_groups", Breaks, always, inPlace, "instances, which name no group, get no events"},
		{"pause_until", Differs, paused(have), resume, "it delivers no event until then"},
	}
}

func paused(have *consumerConfig) bool {
	return have.PauseUntil != nil && have.PauseUntil.After(time.Now())
}

const leastAckWait = time.Second
