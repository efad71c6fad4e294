// Package worker is the pipeline of relogin: what happens to a job from first to last. What a
// job and its event are is in package job below it.
//
// A [job.Job] asks for one confirmation of one account. A [Worker] takes jobs from a
// [Queue], asks a [Locker] for the account, lets a [Gateway] make the account's phone
// ask, and publishes one [job.Event] for each job. The package knows no NATS, no Redis and
// no HTTP; packages queue, cache and worker/gateway implement the three interfaces.
//
// # The life of a job
//
//  1. A slot is taken, then a job. What the pod can't work on stays in the queue.
//  2. The job is decoded and checked. A bad one goes to the dead stream, and an
//     invalid event says so.
//  3. It asks for its account. One answer of several comes back: see [State].
//  4. Granted: the gateway is called. The lease is taken once and is longer than a
//     prompt can live, so the account stays locked for as long as its phone may ask,
//     whatever becomes of the caller.
//  5. The result is stored beside the lock, and the lock is freed.
//  6. The event is published; once the server has acknowledged it the job leaves the
//     queue, and its record shrinks to a tombstone.
//
// A job whose account is held parks in the pod's memory, without a slot and without
// asking the store, until the holder's event wakes it; then it shares the outcome.
//
// A failure before anything was written to the gateway lets go of the account and is
// tried again later. Anything ambiguous keeps the account locked until the lease ends,
// and never prompts again for that job: the online list is asked what became of it.
//
// # What keeps the promises
//
// The lock's token is the only fence: messages may be delivered twice, and be
// acknowledged by whoever was late. Every delivery of a job agrees on its result,
// since the first one stored is the one that counts. The queue stores an event once,
// however often it is published within a window; so whoever decided long ago, or may
// not be the first, looks into the stream before it publishes.
package worker
