// Package worker is the pipeline of relogin: what happens to a job from first to last. What a
// job and its event are is in package job below it.
//
// A [Worker] takes jobs from a [Queue], asks a [Locker] for each job's account, lets a
// [Gateway] make the account's phone ask, and publishes one [job.Event] for each job. The
// package knows no NATS, no Redis and no HTTP; packages queue, cache and worker/gateway
// implement the three interfaces.
//
// The account is locked for as long as its phone may ask, whatever becomes of the caller. A
// job whose account is held parks in the pod's memory, without a slot and without asking the
// store, until the holder's event wakes it; then it shares the outcome. A failure before
// anything was written to the gateway lets go of the account and is tried again later.
// Anything ambiguous keeps the account locked until the lease ends, and never prompts again
// for that job: the online list is asked what became of it.
//
// The lock's token is the only fence: messages may be delivered twice, and be acknowledged by
// whoever was late. The result is stored beside the lock before the event is published, and
// the event before the job leaves the queue. Every delivery of a job agrees on its result,
// since the first one stored is the one that counts. The queue stores an event once, however
// often it is published within a window; so whoever decided long ago, or may not be the first,
// looks into the stream before it publishes.
package worker
