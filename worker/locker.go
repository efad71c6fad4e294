package worker

import (
	"context"
	"errors"
	"time"

	"github.com/relogin/relogin/worker/job"
)

// State is what a job finds when it asks for its account.
type State string

// The states.
const (
	Granted   State = "granted"   // the lock is ours: the gateway may be called
	Held      State = "held"      // another confirmation of the account may be open
	Done      State = "done"      // this job's result is known, its event perhaps not stored
	Ended     State = "ended"     // this job's event is stored
	Shared    State = "shared"    // the confirmation that this job was found waiting for has ended
	InDoubt   State = "in_doubt"  // this job prompted once, and its lease ended without a result
	Cooling   State = "cooling"   // cool-down or daily budget
	TooLate   State = "too_late"  // the deadline passed, or too little of it is left
	Suspended State = "suspended" // the lock's store cannot be trusted yet: nobody may prompt
)

// Ask is what a job asks of the [Locker].
type Ask struct {
	WcID, JobID, Tenant string

	Token    string // <attempts>#<number>, unique, never the job's id. A later number of the same attempts says that former grants were not used
	Pod      string
	StoredAt time.Time // when the job was stored
	Deadline time.Time // zero: none
	Have     string    // the token of a shared result that the pod has already, empty for none: that one is not sent again
}

// Answer is what the job is told.
type Answer struct {
	State           State
	Now             time.Time     // by the store's clock, which all pods share
	Token           string        // Held, InDoubt, Shared: the token of the confirmation in question
	Own             bool          // Held: by an earlier delivery of this very job
	By              string        // Held: the holder's job; Shared: the job whose confirmation it was
	Pod             string        // Held: the holder's pod
	Wait            time.Duration // Held: how long the lease still runs; Suspended: how long until trusted
	Result          *job.Result   // Done, Shared; nil for Shared when Token is the one of [Ask].Have
	ConcludedBefore bool          // another delivery has concluded the job before: its event may be stored already
	Since           time.Time     // Done: when the job was first stored
	RetryAt         time.Time     // Cooling
	Reason          string        // Cooling: which rule, for people
}

// Conclusion is how a job ended, to be remembered.
type Conclusion struct {
	WcID, JobID, Tenant string

	Token     string // of the confirmation that it ended; empty when it had none
	Shared    string // with Result.SharedWith set: the token of that confirmation, from the [Answer]
	Digest    string // with an invalid result: names the content of the message, so that a copy of it is known
	Keep      bool   // the prompt may still be open: the lock stays until its lease ends
	Cooldown  time.Duration
	StoredAt  time.Time
	Result    job.Result // with SharedWith set it is another job's, which the store has already
	SoleUntil time.Time  // by the store's clock: no other delivery can have ended the job before; zero: not known
}

// Finished is what a [Locker] answers to a conclusion.
type Finished struct {
	Result          job.Result // the one that counts: an earlier delivery's where there is one
	ConcludedBefore bool       // the job was concluded before, by this delivery or another: its event may be stored
	Since           time.Time  // with ConcludedBefore for an invalid job: when the message was stored that it is a copy of
	First           bool       // the job's record proves that no other delivery has ended the job before, unless an [Answer] said ConcludedBefore
}

// Locker is the lock of each account and the record of each job. Package cache
// implements it on Redis. Its methods block for at most a few seconds, and return an error
// when the store can't be reached; what a call that returned an error did is not known. All
// times are by the store's own clock. Each call is atomic, whatever other pods do.
//
// # What it keeps
//
// A lock for each account, with the token of the [Ask] that was granted, its job and its
// pod. It ends when it is freed or when its lease has passed, which is longer than a prompt
// can live. For each account and tenant, for about as long as a lease, the last confirmation
// that somebody waited for: its token, its job, its result and when it ended. Why no prompt
// of the account is allowed for a while (a cool-down), and how many it had within a day. And
// for each job a record, which is one of
//
//	none       nothing is known of the job
//	waits(T)   the job was answered Held by the confirmation T; kept for about a lease
//	took       the job has ended with the result of another job's confirmation
//	open(T)    the job was granted the account with the token T, and may have prompted
//	void       the message was an invalid job; for any other message, and for Begin, it is none
//	done       the job has ended with a result
//	tombstone  the job's event is stored
//
// From outside of the pipeline a [Canceller] has the record of a job become done which is none,
// waits or void.
//
// Void and tombstone are kept for longer than [Options].DedupWindow, and done, took and open
// for as long as events are.
//
// # What Begin answers
//
// A token is <attempt>#<number>. A lock or an open record with the ask's token, or with one of
// the same attempt and a lower number, was granted and not used: it is void, and the rows from the third
// on do not see it. An ask that the store executes after one with a higher number of the same
// attempt changes nothing but who waits. The first row that fits is the answer.
//
//	record     lock                       otherwise                          answer
//	tombstone  any                                                           Ended
//	done       any                                                           Done, ConcludedBefore
//	open(T)    T                                                             Held, Own
//	open(T)    another, or none                                              InDoubt
//	waits(T)   any                        the last confirmation is T, or     Shared
//	or took                               ended since the job was told to
//	                                      wait; of the same tenant
//	any        T, which has ended and     same tenant                        Shared
//	           was kept
//	any        held                       the deadline has passed            TooLate
//	any        held                                                          Held; the record becomes waits,
//	                                                                         unless it is took
//	any        free                       too little time is left before     TooLate
//	                                      the deadline
//	any        free                       a cool-down, or the daily budget   Cooling
//	any        free                                                          Granted; the record becomes open
//
// Suspended is answered in place of the last row while locks may have been lost. Whatever is
// answered to a job whose record is took is ConcludedBefore, too: its event may be stored.
//
// # What Finish does
//
//	record             of                     does
//	void, none         an invalid message     the record becomes void; nothing when it is that message's
//	done, tombstone    an invalid message     nothing; [ErrEnded]
//	any other          an invalid message     nothing; [ErrSuperseded]
//	done               any                    nothing; returns the stored result
//	tombstone          any                    nothing; [ErrEnded]
//	open(T)            another token, or none nothing; [ErrSuperseded]
//	waits, took, none  no token, Shared       the record becomes took
//	open(T), waits,    the token T, or none   the record becomes done. The lock: when it is the
//	took, none                                token's, the last confirmation is remembered if somebody
//	                                          waits or Keep is set, and it is freed unless Keep is set;
//	                                          else [ErrLeaseLost] when there is a token
//
// Without a record the answer to a token is [ErrLeaseLost] also when the lock is the token's:
// another delivery may have ended the job, and its tombstone may be gone. Finishing again
// with the same arguments returns the same result and no error. A conclusion of a job that was InDoubt
// passes the token of its lost confirmation, and gets [ErrLeaseLost] beside its result by nature.
type Locker interface {
	// Begin asks whether the job may prompt its account now.
	Begin(ctx context.Context, a Ask) (Answer, error)
	// Finish remembers how the job ended, and returns the result that counts. An error
	// that is [ErrLeaseLost] comes beside a result that was stored.
	Finish(ctx context.Context, c Conclusion) (Finished, error)
	// Release undoes a grant that was not used, and tells whether other jobs may
	// wait for the account. It returns no error when there is nothing left to undo.
	Release(ctx context.Context, a Ask) (othersWait bool, err error)
	// Shrink makes a tombstone of the job's record, once its event is stored and its
	// message settled. It does not block, and may be lost.
	Shrink(wcID, jobID string)
	// Snooze counts a delivery that ended because the job was handed back to wait
	// elsewhere, not because it failed. It does not block, and may be lost.
	Snooze(wcID, jobID string)
	// Snoozed returns how many deliveries of the job were counted by Snooze.
	Snoozed(ctx context.Context, wcID, jobID string) (int, error)
	// Reserve takes the tenant's next turn under the prompt rate that all pods
	// share, unless it is further ahead than that, and returns how long to wait for
	// it, and whether it was taken.
	Reserve(ctx context.Context, tenant string, ahead time.Duration) (wait time.Duration, taken bool, err error)
}

// Errors of a [Locker].
var (
	ErrSuperseded = errors.New("another delivery of the job is at work")       // it holds a grant, which the one that tries to conclude does not
	ErrLeaseLost  = errors.New("the lease ended before the result was stored") // the result was stored, but its lock was gone
	ErrEnded      = errors.New("the job has ended before")                     // its event is stored already
)
