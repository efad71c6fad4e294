package queue

import (
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker"
)

const (
	largestJob   = worker.MaxJobBytes + 64<<10 // with as many headers as JetStream takes
	largestEvent = 256 << 10                   // with the token and the data of a login
	largestEntry = 64 << 10                    // of the bucket: the tenants that are paused
)

// everyStream is about all streams of a namespace, the bucket's too.
var everyStream = []rule[streamConfig]{
	{"mirror", Breaks, nil, promote, "it stores only what another stream has"},
	{"sources", Breaks, nil, inPlace, "what is copied may have other subjects, and may come twice"},
	{"subjects", Breaks, somebodyElses, rename, "it stores somebody else's messages"},
	{"subjects", Breaks, otherSubjects, inPlace, "what is published beside them is not stored, and what is stored beyond the wanted ones is never read"},
	{"subject_transform", Breaks, nil, inPlace, "what is stored under other subjects is not found"},
	{"republish", Breaks, republishesHome, inPlace, "the copies are taken for jobs, events or wake-ups"},
	{"storage", Breaks, nil, remake, "a restart of the server loses all that is stored"},
	{"persist_mode", Breaks, nil, remake, "a crash of the server loses what was acknowledged"},
	{"sealed", Breaks, nil, remake, "nothing more is stored"},
	{"no_ack", Breaks, nil, inPlace, "nobody learns whether a message was stored"},
	{"allow_msg_counter", Breaks, nil, remake, "only counters are stored"},
	{"num_replicas", Differs, nil, inPlace, "so many servers keep it; while their number grows it stores nothing, for about ten seconds"},
}

var jobsStream = []rule[streamConfig]{
	{"retention", Breaks, nil, remake, "a job must stay until it has ended, and no longer"},
	{"max_age", Breaks, nil, inPlace, "jobs that wait longer are deleted"},
	{"allow_msg_ttl", Breaks, nil, remake, "a Nats-TTL header deletes its job while it is worked on"},
	{"allow_msg_schedules", Breaks, nil, remake, "it comes with roll-ups, which delete jobs"},
	{"allow_rollup_hdrs", Breaks, nil, inPlace, "a Nats-Rollup header deletes all other jobs"},
	{"max_msgs", Breaks, deletesByNumber, inPlace, "a new job deletes the oldest one once so many wait"},
	{"max_msgs", Differs, nil, inPlace, "jobs are refused once so many wait"},
	{"max_bytes", Breaks, deletesBySize, inPlace, "a new job deletes the oldest ones once so much waits"},
	{"max_bytes", Differs, nil, inPlace, "jobs are refused once so much waits"},
	{"max_msgs_per_subject", Breaks, deletesOfSubject, inPlace, "a new job deletes the oldest one once so many wait in its lane"},
	{"max_msgs_per_subject", Differs, nil, inPlace, "jobs are refused once so many wait in their lane"},
	{"discard_new_per_subject", Differs, nil, inPlace, "it counts with max_msgs_per_subject alone"},
	{"discard", Differs, nil, inPlace, "with a limit, new jobs would delete old ones"},
	{"max_msg_size", Breaks, smallerThan(largestJob), inPlace, "a job of 64 KiB with its headers is refused"},
	{"max_msg_size", Differs, nil, inPlace, "larger messages are refused"},
	{"duplicate_window", Breaks, longerThanJobMemory, inPlace, "an id that is used again after --job-memory, but within the window, is taken for a repetition: its job never runs"},
	{"duplicate_window", Differs, nil, inPlace, "a job that is published again within it is stored once"},
	{"consumer_limits", Differs, nil, inPlace, "consumers that are made later have these limits"},
	{"max_consumers", Differs, nil, inPlace, "no more consumers can be made"},
	{"allow_direct", Differs, nil, inPlace, "jobs can't be read without asking the leader"},
	{"description", Differs, nil, inPlace, "it tells people what this is"},
}

var eventsStream = []rule[streamConfig]{
	{"retention", Breaks, toOrFromWorkQueue, remake, "events must stay after somebody has read them"},
	{"retention", Breaks, nil, inPlace, "events must stay after somebody has read them"},
	{"max_age", Breaks, forgetsTooSoon, inPlace, "an event must be there while its job can come back: for --job-memory and twice --ack-wait"},
	{"max_age", Differs, nil, inPlace, "events are kept so long"},
	{"allow_msg_schedules", Breaks, nil, remake, "it comes with roll-ups, which delete events"},
	{"allow_rollup_hdrs", Breaks, nil, inPlace, "a Nats-Rollup header deletes other events"},
	{"max_msgs", Breaks, deletesByNumber, inPlace, "events are deleted unread, and jobs that come back have a second one"},
	{"max_msgs", Differs, nil, inPlace, "no job can end once it is full"},
	{"max_bytes", Breaks, deletesBySize, inPlace, "events are deleted unread, and jobs that come back have a second one"},
	{"max_bytes", Differs, nil, inPlace, "no job can end once it is full"},
	{"max_msgs_per_subject", Breaks, nil, inPlace, "an account's events are deleted unread, or its jobs can't end"},
	{"discard_new_per_subject", Differs, nil, inPlace, "it counts with max_msgs_per_subject alone"},
	{"discard", Differs, nil, inPlace, "with a limit, new events would delete old ones"},
	{"max_msg_size", Breaks, smallerThan(largestEvent), inPlace, "an event with the token and the data of a login is refused"},
	{"max_msg_size", Differs, nil, inPlace, "larger messages are refused"},
	{"duplicate_window", Breaks, shorterThanWanted, inPlace, "an event that is sent again after the window is stored twice"},
	{"duplicate_window", Breaks, longerThanJobMemory, inPlace, "a job id that is used again after --job-memory, but within the window, loses its event"},
	{"duplicate_window", Differs, nil, inPlace, "an event that is sent again within it is stored once"},
	{"allow_direct", Breaks, nil, inPlace, "workers may read it in no other way"},
	{"consumer_limits", Differs, nil, inPlace, "consumers that are made later have these limits"},
	{"max_consumers", Differs, nil, inPlace, "no more can follow events, or look for one"},
	{"description", Differs, nil, inPlace, "it tells people what this is"},
}

var deadStream = []rule[streamConfig]{
	{"retention", Breaks, toOrFromWorkQueue, remake, "dead letters must stay after somebody has read them"},
	{"retention", Breaks, nil, inPlace, "dead letters must stay after somebody has read them"},
	{"max_age", Differs, nil, inPlace, "dead letters are kept so long"},
	{"allow_msg_schedules", Breaks, nil, remake, "it comes with roll-ups, which delete dead letters"},
	{"allow_rollup_hdrs", Breaks, nil, inPlace, "a Nats-Rollup header deletes other dead letters"},
	{"max_msgs", Differs, nil, inPlace, "once it is full, dead letters are deleted or refused"},
	{"max_bytes", Differs, nil, inPlace, "once it is full, dead letters are deleted or refused"},
	{"max_msgs_per_subject", Differs, nil, inPlace, "once a lane has so many, dead letters are deleted or refused"},
	{"discard_new_per_subject", Differs, nil, inPlace, "it counts with max_msgs_per_subject alone"},
	{"discard", Differs, nil, inPlace, "with a limit, it says whether old dead letters are deleted or new ones refused"},
	{"max_msg_size", Breaks, smallerThan(largestJob), inPlace, "a dead job of 64 KiB with its headers is refused, and comes back for ever"},
	{"max_msg_size", Differs, nil, inPlace, "larger messages are refused"},
	{"allow_direct", Differs, nil, inPlace, "dead letters can't be read without asking the leader"},
	{"description", Differs, nil, inPlace, "it tells people what this is"},
}

var trustBucket = []rule[streamConfig]{
	{"retention", Breaks, toOrFromWorkQueue, remake, "entries must stay after somebody has read them"},
	{"retention", Breaks, nil, inPlace, "entries must stay after somebody has read them"},
	{"max_age", Breaks, nil, inPlace, "a Redis server that is forgotten counts at once after it lost its locks"},
	{"max_msgs", Breaks, deletesByNumber, inPlace, "a Redis server that is forgotten counts at once after it lost its locks"},
	{"max_msgs", Differs, nil, inPlace, "no new Redis server can be used once it is full"},
	{"max_bytes", Breaks, deletesBySize, inPlace, "a Redis server that is forgotten counts at once after it lost its locks"},
	{"max_bytes", Differs, nil, inPlace, "no new Redis server can be used once it is full"},
	{"max_msgs_per_subject", Breaks, func(_ *Config, have, _ *streamConfig) bool { return have.MaxMsgsPerSubject < 1 }, inPlace, "workers take it for no bucket"},
	{"discard_new_per_subject", Breaks, nil, inPlace, "entries can't be changed"},
	{"discard", Differs, nil, inPlace, "with a limit, new entries would delete old ones"},
	{"max_msg_size", Breaks, smallerThan(largestEntry), inPlace, "entries are refused"},
	{"allow_direct", Breaks, nil, inPlace, "workers may read it in no other way"},
}

// somebodyElses tells whether subjects begin otherwise than the wanted ones.
func somebodyElses(_ *Config, have, want *streamConfig) bool {
	return slices.ContainsFunc(have.Subjects, func(subject string) bool {
		first := firstToken(subject)
		return first != firstToken(want.Subjects[0]) && first != "*" && first != ">"
	})
}

func firstToken(subject string) string {
	first, _, _ := strings.Cut(subject, ".")
	return first
}

func otherSubjects(_ *Config, have, want *streamConfig) bool {
	return !slices.Equal(slices.Sorted(slices.Values(have.Subjects)), slices.Sorted(slices.Values(want.Subjects)))
}

// republishesHome tells whether copies go to the namespace.
func republishesHome(c *Config, have, _ *streamConfig) bool {
	if have.RePublish == nil {
		return false
	}
	first := firstToken(have.RePublish.Destination)
	return first == c.Namespace || strings.ContainsAny(first, "*>{$")
}

// deletesByNumber tells whether a message that is over the limit deletes others.
func deletesByNumber(_ *Config, have, _ *streamConfig) bool {
	return have.Discard == jetstream.DiscardOld && have.MaxMsgs > 0
}

func deletesBySize(_ *Config, have, _ *streamConfig) bool {
	return have.Discard == jetstream.DiscardOld && have.MaxBytes > 0
}

func deletesOfSubject(_ *Config, have, _ *streamConfig) bool {
	return have.MaxMsgsPerSubject > 0 && !have.DiscardNewPerSubject
}

func smallerThan(size int32) func(*Config, *streamConfig, *streamConfig) bool {
	return func(_ *Config, have, _ *streamConfig) bool { return have.MaxMsgSize > 0 && have.MaxMsgSize < size }
}

// toOrFromWorkQueue tells whether the retention is of the kind that NATS can't change.
func toOrFromWorkQueue(_ *Config, have, _ *streamConfig) bool {
	return have.Retention == jetstream.WorkQueuePolicy
}

func forgetsTooSoon(c *Config, have, want *streamConfig) bool {
	need := max(c.JobMemory, 2*c.AckWait)
	if want.MaxAge > 0 {
		need = min(need, want.MaxAge)
	}
	return have.MaxAge > 0 && have.MaxAge < need
}

func shorterThanWanted(_ *Config, have, want *streamConfig) bool {
	return have.Duplicates < want.Duplicates
}

func longerThanJobMemory(c *Config, have, _ *streamConfig) bool {
	return c.JobMemory > 0 && have.Duplicates > max(c.JobMemory, minDuplicateWindow)
}

// minDuplicateWindow is the shortest that NATS has.
const minDuplicateWindow = 100 * time.Millisecond
