package queue

import (
	"time"
)

// laneConsumer is about the two consumers of the jobs stream.
var laneConsumer = []rule[consumerConfig]{
	{"deliver_subject", Breaks, nil, remake, "workers can't ask it for jobs"},
	{"filter_subject", Breaks, nil, inPlace, "jobs of the lane are not delivered, or another lane's are"},
	{"filter_subjects", Breaks, nil, inPlace, "jobs of the lane are not delivered, or another lane's are"},
	{"deliver_policy", Breaks, nil, remake, "jobs that were there before it are never delivered"},
	{"ack_policy", Breaks, nil, remake, "a job counts as done before it has ended"},
	{"replay_policy", Breaks, nil, remake, "jobs are delivered as slowly as they came"},
	{"mem_storage", Breaks, nil, remake, "a restart of the server forgets which jobs were delivered before, and they have a second event"},
	{"inactive_threshold", Breaks, nil, inPlace, "it is deleted when no worker runs for so long"},
	{"headers_only", Breaks, nil, inPlace, "jobs come without their bodies, and end as dead letters"},
	{"max_deliver", Breaks, nil, inPlace, "a job that was delivered so often stays in the stream unseen"},
	{"max_ack_pending", Breaks, nil, inPlace, "once so many jobs wait for their accounts, no other account's is delivered"},
	{"backoff", Breaks, nil, inPlace, "it stands in for the ack-wait, and distorts the delays of jobs that were handed back"},
	{"ack_wait", Breaks, func(_ *Config, have, _ *consumerConfig) bool { return have.AckWait < leastAckWait }, inPlace, "jobs come back while they are worked on"},
	{"ack_wait", Differs, nil, inPlace, "after this a dead pod's jobs come back"},
	{"max_batch", Breaks, nil, inPlace, "workers that ask for more jobs get none"},
	{"max_expires", Breaks, nil, inPlace, "workers that wait longer for a job get none"},
	{"max_bytes", Breaks, nil, inPlace, "workers that ask for more bytes get none"},
	{"priority_policy", Breaks, nil, inPlace, "workers, who name no group, get no jobs"},
	{"priority_groups", Breaks, nil, inPlace, "workers, who name no group, get no jobs"},
	{"priority_timeout", Breaks, nil, inPlace, "workers, who name no group, get no jobs"},
	{"max_waiting", Differs, nil, remake, "so many requests for jobs can wait, of all pods together"},
	{"num_replicas", Differs, nil, inPlace, "its state is kept by so many servers; 0: as many as keep the stream"},
	{"pause_until", Differs, func(_ *Config, have, _ *consumerConfig) bool {
		return have.PauseUntil != nil && have.PauseUntil.After(time.Now())
	}, resume, "it delivers no job until then"},
}

const leastAckWait = time.Second
