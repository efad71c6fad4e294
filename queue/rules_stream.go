package queue

import (
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker"
)

const (
	largestJob   = worker.MaxJobBytes + 64<<10 // with as many headers as JetStream takes
	largestEvent = 256 << 10                   // with the token and the data of a login
	largestEntry = 64 << 10                    // of the bucket: the tenants that are paused
)

// everyStream is about all streams of a namespace, the bucket's too.
func everyStream(c *Config, have, want *streamConfig) []rule {
	wanted, home := firstToken(want.Subjects[0]), false
	foreign := slices.ContainsFunc(have.Subjects, func(subject string) bool {
		return !slices.Contains([]string{wanted, "*", ">"}, firstToken(subject))
	})
	sameSubjects := slices.Equal(slices.Sorted(slices.Values(have.Subjects)), slices.Sorted(slices.Values(want.Subjects)))
	if have.RePublish != nil { // to the namespace
		first := firstToken(have.RePublish.Destination)
		home = first == c.Namespace || strings.ContainsAny(first, "*>{$")
	}
	return []rule{
		{"mirror", Breaks, always, promote, "it stores only what another stream has"},
		{"sources", Breaks, always, inPlace, "what is copied may have other subjects, and may come twice"},
		{"subjects", Breaks, foreign, rename, "it stores somebody else's messages"},
		{"subjects", Breaks, !sameSubjects, inPlace, "what is published beside them is not stored, and what is stored beyond the wanted ones is never read"},
		{"subject_transform", Breaks, always, inPlace, "what is stored under other subjects is not found"},
		{"republish", Breaks, home, inPlace, "the copies are taken for jobs, events or wake-ups"},
		{"storage", Breaks, always, remake, "a restart of the server loses all that is stored"},
		{"persist_mode", Breaks, always, remake, "a crash of the server loses what was acknowledged"},
		{"sealed", Breaks, always, remake, "nothing more is stored"},
		{"no_ack", Breaks, always, inPlace, "nobody learns whether a message was stored"},
		{"allow_msg_counter", Breaks, always, remake, "only counters are stored"},
		{"num_replicas", Differs, always, inPlace, "so many servers keep it; while their number grows it stores nothing, for about ten seconds"},
	}
}

func jobsStream(c *Config, have, _ *streamConfig) []rule {
	deletes := have.Discard == jetstream.DiscardOld // what is there, once it is full
	return []rule{
		{"retention", Breaks, always, remake, "a job must stay until it has ended, and no longer"},
		{"max_age", Breaks, always, inPlace, "jobs that wait longer are deleted"},
		{"allow_msg_ttl", Breaks, always, remake, "a Nats-TTL header deletes its job while it is worked on"},
		{"allow_msg_schedules", Breaks, always, remake, "it comes with roll-ups, which delete jobs"},
		{"allow_rollup_hdrs", Breaks, always, inPlace, "a Nats-Rollup header deletes all other jobs"},
		{"max_msgs", Breaks, deletes && have.MaxMsgs > 0, inPlace, "a new job deletes the oldest one once so many wait"},
		{"max_msgs", Differs, always, inPlace, "jobs are refused once so many wait"},
		{"max_bytes", Breaks, deletes && have.MaxBytes > 0, inPlace, "a new job deletes the oldest ones once so much waits"},
		{"max_bytes", Differs, always, inPlace, "jobs are refused once so much waits"},
		{"max_msgs_per_subject", Breaks, have.MaxMsgsPerSubject > 0 && !have.DiscardNewPerSubject, inPlace, "a new job deletes the oldest one once so many wait in its lane"},
		{"max_msgs_per_subject", Differs, always, inPlace, "jobs are refused once so many wait in their lane"},
		{"discard_new_per_subject", Differs, always, inPlace, "it counts with max_msgs_per_subject alone"},
		{"discard", Differs, always, inPlace, "with a limit, new jobs would delete old ones"},
		{"max_msg_size", Breaks, have.MaxMsgSize > 0 && have.MaxMsgSize < largestJob, inPlace, "a job of 64 KiB with its headers is refused"},
		{"max_msg_size", Differs, always, inPlace, "larger messages are refused"},
		{"duplicate_window", Breaks, outlivesJobs(c, have), inPlace, "an id that is used again after --job-memory, but within the window, is taken for a repetition: its job never runs"},
		{"duplicate_window", Differs, always, inPlace, "a job that is published again within it is stored once"},
		{"consumer_limits", Differs, always, inPlace, "consumers that are made later have these limits"},
		{"max_consumers", Differs, always, inPlace, "no more consumers can be made"},
		{"allow_direct", Differs, always, inPlace, "jobs can't be read without asking the leader"},
		{"description", Differs, always, inPlace, "it tells people what this is"},
	}
}

func eventsStream(c *Config, have, want *streamConfig) []rule {
	deletes := have.Discard == jetstream.DiscardOld
	need := max(c.JobMemory, 2*c.AckWait)
	if want.MaxAge > 0 {
		need = min(need, want.MaxAge)
	}
	return []rule{
		{"retention", Breaks, have.Retention == jetstream.WorkQueuePolicy, remake, "events must stay after somebody has read them"},
		{"retention", Breaks, always, inPlace, "events must stay after somebody has read them"},
		{"max_age", Breaks, have.MaxAge > 0 && have.MaxAge < need, inPlace, "an event must be there while its job can come back: for --job-memory and twice --ack-wait"},
		{"max_age", Differs, always, inPlace, "events are kept so long"},
		{"allow_msg_schedules", Breaks, always, remake, "it comes with roll-ups, which delete events"},
		{"allow_rollup_hdrs", Breaks, always, inPlace, "a Nats-Rollup header deletes other events"},
		{"max_msgs", Breaks, deletes && have.MaxMsgs > 0, inPlace, "events are deleted unread, and jobs that come back have a second one"},
		{"max_msgs", Differs, always, inPlace, "no job can end once it is full"},
		{"max_bytes", Breaks, deletes && have.MaxBytes > 0, inPlace, "events are deleted unread, and jobs that come back have a second one"},
		{"max_bytes", Differs, always, inPlace, "no job can end once it is full"},
		{"max_msgs_per_subject", Breaks, always, inPlace, "an account's events are deleted unread, or its jobs can't end"},
		{"discard_new_per_subject", Differs, always, inPlace, "it counts with max_msgs_per_subject alone"},
		{"discard", Differs, always, inPlace, "with a limit, new events would delete old ones"},
		{"max_msg_size", Breaks, have.MaxMsgSize > 0 && have.MaxMsgSize < largestEvent, inPlace, "an event with the token and the data of a login is refused"},
		{"max_msg_size", Differs, always, inPlace, "larger messages are refused"},
		{"duplicate_window", Breaks, have.Duplicates < want.Duplicates, inPlace, "an event that is sent again after the window is stored twice"},
		{"duplicate_window", Breaks, outlivesJobs(c, have), inPlace, "a job id that is used again after --job-memory, but within the window, loses its event"},
		{"duplicate_window", Differs, always, inPlace, "an event that is sent again within it is stored once"},
		{"allow_direct", Breaks, always, inPlace, "workers may read it in no other way"},
		{"consumer_limits", Differs, always, inPlace, "consumers that are made later have these limits"},
		{"max_consumers", Differs, always, inPlace, "no more can follow events, or look for one"},
		{"description", Differs, always, inPlace, "it tells people what this is"},
	}
}

func deadStream(_ *Config, have, _ *streamConfig) []rule {
	return []rule{
		{"retention", Breaks, have.Retention == jetstream.WorkQueuePolicy, remake, "dead letters must stay after somebody has read them"},
		{"retention", Breaks, always, inPlace, "dead letters must stay after somebody has read them"},
		{"max_age", Differs, always, inPlace, "dead letters are kept so long"},
		{"allow_msg_schedules", Breaks, always, remake, "it comes with roll-ups, which delete dead letters"},
		{"allow_rollup_hdrs", Breaks, always, inPlace, "a Nats-Rollup header deletes other dead letters"},
		{"max_msgs", Differs, always, inPlace, "once it is full, dead letters are deleted or refused"},
		{"max_bytes", Differs, always, inPlace, "once it is full, dead letters are deleted or refused"},
		{"max_msgs_per_subject", Differs, always, inPlace, "once a lane has so many, dead letters are deleted or refused"},
		{"discard_new_per_subject", Differs, always, inPlace, "it counts with max_msgs_per_subject alone"},
		{"discard", Differs, always, inPlace, "with a limit, it says whether old dead letters are deleted or new ones refused"},
		{"max_msg_size", Breaks, have.MaxMsgSize > 0 && have.MaxMsgSize < largestJob, inPlace, "a dead job of 64 KiB with its headers is refused, and comes back for ever"},
		{"max_msg_size", Differs, always, inPlace, "larger messages are refused"},
		{"allow_direct", Differs, always, inPlace, "dead letters can't be read without asking the leader"},
		{"description", Differs, always, inPlace, "it tells people what this is"},
	}
}

func trustBucket(_ *Config, have, _ *streamConfig) []rule {
	deletes := have.Discard == jetstream.DiscardOld
	return []rule{
		{"retention", Breaks, have.Retention == jetstream.WorkQueuePolicy, remake, "entries must stay after somebody has read them"},
		{"retention", Breaks, always, inPlace, "entries must stay after somebody has read them"},
		{"max_age", Breaks, always, inPlace, "a Redis server that is forgotten counts at once after it lost its locks"},
		{"max_msgs", Breaks, deletes && have.MaxMsgs > 0, inPlace, "a Redis server that is forgotten counts at once after it lost its locks"},
		{"max_msgs", Differs, always, inPlace, "no new Redis server can be used once it is full"},
		{"max_bytes", Breaks, deletes && have.MaxBytes > 0, inPlace, "a Redis server that is forgotten counts at once after it lost its locks"},
		{"max_bytes", Differs, always, inPlace, "no new Redis server can be used once it is full"},
		{"max_msgs_per_subject", Breaks, have.MaxMsgsPerSubject < 1, inPlace, "workers take it for no bucket"},
		{"discard_new_per_subject", Breaks, always, inPlace, "entries can't be changed"},
		{"discard", Differs, always, inPlace, "with a limit, new entries would delete old ones"},
		{"max_msg_size", Breaks, have.MaxMsgSize > 0 && have.MaxMsgSize < largestEntry, inPlace, "entries are refused"},
		{"allow_direct", Breaks, always, inPlace, "workers may read it in no other way"},
	}
}

func firstToken(subject string) string {
	first, _, _ := strings.Cut(subject, ".")
	return first
}

// outlivesJobs tells whether ids are refused for longer than jobs are remembered.
func outlivesJobs(c *Config, have *streamConfig) bool {
	return c.JobMemory > 0 && have.Duplicates > c.JobMemory
}
