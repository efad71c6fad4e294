package queue

import (
	"cmp"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker/job"
)

const (
	largestJob   = job.MaxJobBytes + 64<<10 // with as many headers as JetStream takes
	largestEvent = 256 << 10                // with the token and the data of a login
	largestEntry = 64 << 10                 // of a bucket, and of the audit: the longest is that of the tenants whose credential is refused
)

// What happens when a bucket forgets.
const (
	forgotten = "a Redis server that is forgotten counts at once after it lost its locks"
	resumed   = "jobs go on whose pause is forgotten"
)

// rename is the remedy for a stream that is somebody else's.
const rename = "choose another --namespace, or delete the stream if nobody needs it"

func streamRules(p *part[streamConfig], have *streamConfig) []rule {
	c, want, inPlace, remake, byHand := p.plan.config, &p.want, p.inPlace, p.remake, p.byHand
	what := map[kind]string{ofJobs: "jobs", ofEvents: "events", ofDead: "dead letters"}[p.kind]
	what = cmp.Or(what, "entries")
	namespace, home := firstToken(want.Subjects[0]), false
	foreign := slices.ContainsFunc(have.Subjects, func(subject string) bool {
		return !slices.Contains([]string{namespace, "*", ">"}, firstToken(subject))
	})
	sameSubjects := slices.Equal(slices.Sorted(slices.Values(have.Subjects)), slices.Sorted(slices.Values(want.Subjects)))
	if have.RePublish != nil { // to the namespace
		first := firstToken(have.RePublish.Destination)
		home = first == c.Namespace || strings.ContainsAny(first, "*>{$")
	}
	deletes := have.Discard == jetstream.DiscardOld // what is there, once it is full
	deletesByNumber, deletesBySize := deletes && have.MaxMsgs > 0, deletes && have.MaxBytes > 0
	fixed := have.Retention == jetstream.WorkQueuePolicy // NATS can't change it from or to this one
	needed := max(c.JobMemory, 2*c.AckWait)
	if want.MaxAge > 0 {
		needed = min(needed, want.MaxAge)
	}
	outlivesJobs := c.JobMemory > 0 && have.Duplicates > c.JobMemory
	smaller := func(size int32) bool { return have.MaxMsgSize > 0 && have.MaxMsgSize < size }
	return []rule{
		{ofAll, "mirror", Breaks, always, byHand, "it stores only what another stream has"},
		{ofAll, "sources", Breaks, always, inPlace, "what is copied may have other subjects, and may come twice"},
		{ofAll, "subjects", Breaks, foreign, rename, "it stores somebody else's messages"},
		{ofAll, "subjects", Breaks, !sameSubjects, inPlace, "what is published beside them is not stored, and what is stored beyond the wanted ones is never read"},
		{ofAll, "subject_transform", Breaks, always, inPlace, "what is stored under other subjects is not found"},
		{ofAll, "republish", Breaks, home, inPlace, "the copies are taken for jobs, events or wake-ups"},
		{ofAll, "storage", Breaks, always, remake, "a restart of the server loses all that is stored"},
		{ofAll, "persist_mode", Breaks, always, remake, "a crash of the server loses what was acknowledged"},
		{ofAll, "sealed", Breaks, always, remake, "nothing more is stored"},
		{ofAll, "no_ack", Breaks, always, inPlace, "nobody learns whether a message was stored"},
		{ofAll, "allow_msg_counter", Breaks, always, remake, "only counters are stored"},
		{ofAll, "num_replicas", Differs, always, inPlace, "so many servers keep it; while their number grows it stores nothing, for about ten seconds"},

		{ofJobs, "retention", Breaks, always, remake, "a job must stay until it has ended, and no longer"},
		{ofKept, "retention", Breaks, fixed, remake, what + " must stay after somebody has read them"},
		{ofKept, "retention", Breaks, always, inPlace, what + " must stay after somebody has read them"},

		{ofJobs, "max_age", Breaks, always, inPlace, "jobs that wait longer are deleted"},
		{ofEvents, "max_age", Breaks, have.MaxAge > 0 && have.MaxAge < needed, inPlace, "an event must be there while its job can come back: for --job-memory and twice --ack-wait"},
		{ofEvents | ofDead | ofAudit, "max_age", Differs, always, inPlace, what + " are kept so long"},
		{ofRedis, "max_age", Breaks, always, inPlace, forgotten},
		{ofControl, "max_age", Breaks, always, inPlace, resumed},
		{ofControl, "allow_msg_ttl", Breaks, always, inPlace, "a pause with an end is refused, and one that was lifted leaves something for ever"},
		{ofJobs, "allow_msg_ttl", Breaks, always, remake, "a Nats-TTL header deletes its job while it is worked on"},
		{ofMessages, "allow_msg_schedules", Breaks, always, remake, "it comes with roll-ups, which delete " + what},
		{ofMessages, "allow_rollup_hdrs", Breaks, always, inPlace, "a Nats-Rollup header deletes other " + what},
		{ofControl, "allow_rollup_hdrs", Breaks, always, inPlace, "no pause can be lifted"},

		{ofJobs, "max_msgs", Breaks, deletesByNumber, inPlace, "a new job deletes the oldest one once so many wait"},
		{ofJobs, "max_msgs", Differs, always, inPlace, "jobs are refused once so many wait"},
		{ofEvents, "max_msgs", Breaks, deletesByNumber, inPlace, "events are deleted unread, and jobs that come back have a second one"},
		{ofEvents, "max_msgs", Differs, always, inPlace, "no job can end once it is full"},
		{ofDead | ofAudit, "max_msgs", Differs, always, inPlace, "once it is full, " + what + " are deleted or refused"},
		{ofRedis, "max_msgs", Breaks, deletesByNumber, inPlace, forgotten},
		{ofRedis, "max_msgs", Differs, always, inPlace, "no new Redis server can be used once it is full"},
		{ofControl, "max_msgs", Breaks, deletesByNumber, inPlace, resumed},
		{ofControl, "max_msgs", Differs, always, inPlace, "nothing more can be paused once it is full"},

		{ofJobs, "max_bytes", Breaks, deletesBySize, inPlace, "a new job deletes the oldest ones once so much waits"},
		{ofJobs, "max_bytes", Differs, always, inPlace, "jobs are refused once so much waits"},
		{ofEvents, "max_bytes", Breaks, deletesBySize, inPlace, "events are deleted unread, and jobs that come back have a second one"},
		{ofEvents, "max_bytes", Differs, always, inPlace, "no job can end once it is full"},
		{ofDead | ofAudit, "max_bytes", Differs, always, inPlace, "once it is full, " + what + " are deleted or refused"},
		{ofRedis, "max_bytes", Breaks, deletesBySize, inPlace, forgotten},
		{ofRedis, "max_bytes", Differs, always, inPlace, "no new Redis server can be used once it is full"},
		{ofControl, "max_bytes", Breaks, deletesBySize, inPlace, resumed},
		{ofControl, "max_bytes", Differs, always, inPlace, "nothing more can be paused once it is full"},

		{ofJobs, "max_msgs_per_subject", Breaks, have.MaxMsgsPerSubject > 0 && !have.DiscardNewPerSubject, inPlace, "a new job deletes the oldest one once so many wait in its lane"},
		{ofJobs, "max_msgs_per_subject", Differs, always, inPlace, "jobs are refused once so many wait in their lane"},
		{ofEvents, "max_msgs_per_subject", Breaks, always, inPlace, "an account's events are deleted unread, or its jobs can't end"},
		{ofDead | ofAudit, "max_msgs_per_subject", Differs, always, inPlace, "once a subject has so many, " + what + " are deleted or refused"},
		{ofBuckets, "max_msgs_per_subject", Breaks, have.MaxMsgsPerSubject < 1, inPlace, "workers take it for no bucket"},
		{ofMessages, "discard_new_per_subject", Differs, always, inPlace, "it counts with max_msgs_per_subject alone"},
		{ofBuckets, "discard_new_per_subject", Breaks, always, inPlace, "entries can't be changed"},
		{ofJobs | ofEvents | ofBuckets, "discard", Differs, always, inPlace, "with a limit, new " + what + " would delete old ones"},
		{ofDead | ofAudit, "discard", Differs, always, inPlace, "with a limit, it says whether old " + what + " are deleted or new ones refused"},

		{ofJobs, "max_msg_size", Breaks, smaller(largestJob), inPlace, "a job of 64 KiB with its headers is refused"},
		{ofEvents, "max_msg_size", Breaks, smaller(largestEvent), inPlace, "an event with the token and the data of a login is refused"},
		{ofDead, "max_msg_size", Breaks, smaller(largestJob), inPlace, "a dead job of 64 KiB with its headers is refused, and comes back for ever"},
		{ofAudit | ofBuckets, "max_msg_size", Breaks, smaller(largestEntry), inPlace, "entries are refused"},
		{ofMessages, "max_msg_size", Differs, always, inPlace, "larger messages are refused"},

		{ofJobs, "duplicate_window", Breaks, outlivesJobs, inPlace, "an id that is used again after --job-memory, but within the window, is taken for a repetition: its job never runs"},
		{ofJobs, "duplicate_window", Differs, always, inPlace, "a job that is published again within it is stored once"},
		{ofEvents, "duplicate_window", Breaks, have.Duplicates < want.Duplicates, inPlace, "an event that is sent again after the window is stored twice"},
		{ofEvents, "duplicate_window", Breaks, outlivesJobs, inPlace, "a job id that is used again after --job-memory, but within the window, loses its event"},
		{ofEvents, "duplicate_window", Differs, always, inPlace, "an event that is sent again within it is stored once"},

		{ofJobs | ofDead | ofAudit, "allow_direct", Differs, always, inPlace, what + " can't be read without asking the leader"},
		{ofEvents | ofRedis, "allow_direct", Breaks, always, inPlace, "workers may read it in no other way"},
		{ofControl, "allow_direct", Differs, always, inPlace, what + " can't be read without asking the leader"},
		{ofJobs | ofEvents, "consumer_limits", Differs, always, inPlace, "consumers that are made later have these limits"},
		{ofJobs, "max_consumers", Differs, always, inPlace, "no more consumers can be made"},
		{ofEvents, "max_consumers", Differs, always, inPlace, "no more can follow events, or look for one"},
		{ofMessages, "description", Differs, always, inPlace, "it tells people what this is"},
	}
}

func firstToken(subject string) string {
	first, _, _ := strings.Cut(subject, ".")
	return first
}
