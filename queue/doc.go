// Package queue is NATS JetStream for relogin: where jobs come from and events go. It
// implements worker.Queue, and is the Go API of those around relogin: a [Publisher]
// for the systems that ask for relogins, [Consume] for those that must react to each event,
// and [Follow] for those that look on while they run. For operators there are [Jobs],
// [DeadLetters], [Control] with the [Audit], and [AskPods].
//
// # Streams
//
// A namespace, relogin unless set, prefixes all subjects and, in upper case, all
// streams. [Setup] creates what is missing and changes nothing that is there; [Check] tells
// what is not as Setup makes it, and [Update] changes that. [Open] refuses streams and
// consumers that can't keep what is promised, and those of another namespace, whose name
// differs only in case.
//
//	RELOGIN_JOBS    relogin.jobs.urgent, relogin.jobs.normal      work queue; a job stays until its event is stored
//	RELOGIN_EVENTS  relogin.events.<outcome>.<account>            one message a job, kept 7 days unless set
//	RELOGIN_DEAD    relogin.dead.<lane>, relogin.dead.events      jobs that could not be processed, and events that a
//	                consumer could not handle, kept 30 days unless set
//	RELOGIN_AUDIT   relogin.audit.<action>, relogin.audit.<action>.<account>
//	                what people did, stored before it is done, kept a year unless set
//	RELOGIN_REDIS   a bucket: what pods must know of each other: from when on the grants of
//	                each Redis server process count, pods' leases, refused credentials
//	RELOGIN_CONTROL a bucket: what people have paused. Its keys are all, lane.<lane>,
//	                tenant.<token> and account.<token>, where a token is that of
//	                [job.AccountToken] with = for ~; its values are a [Pause] as JSON
//
// Workers tell each other on relogin.account.freed.<account>, which no stream keeps, that
// an account's lock was let go of without an event. On relogin.pods.<what> they answer
// operators: see [ServePod].
//
// RELOGIN_JOBS has two durable consumers, urgent and normal. <account> is
// [job.AccountToken].
//
// # Headers of an event
//
// Nats-Msg-Id is the event's id, the same however often it is sent. The rest is the
// CloudEvents 1.0 NATS binding in binary mode: ce-specversion, ce-id, ce-source,
// ce-type (relogin.<outcome>), ce-subject (the account), ce-time, ce-datacontenttype,
// and the extension ce-prompted, true when this job itself made the phone ask. Values
// are percent-encoded as the binding says. traceparent is the job's, where that is a W3C
// trace context of at most 128 bytes.
//
// # Headers of a dead letter
//
// Its body is that of the job or event, byte for byte, and its headers are too, but for
// those that would mean something here: Nats-*, KV-*, Relogin-* and Status in any case, and
// names that NATS does not allow. Its Nats-Msg-Id became Relogin-Msg-Id. Added are
// Relogin-Reason, Relogin-Stream, Relogin-Sequence, Relogin-Deliveries and Relogin-Stored-At
// (RFC 3339), and for an event Relogin-Consumer, the name that could not handle it.
// Where all that is too large for the server, the headers of the job or event are left out, then the
// reason is shortened, then all but Nats-Msg-Id is left out, then that too.
package queue
