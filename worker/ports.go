package worker

import (
	"context"
	"errors"
	"time"

	"github.com/relogin/relogin/worker/job"
)

// Queue is where jobs come from and events go. Package queue implements it on NATS
// JetStream.
type Queue interface {
	// Take returns between one and n deliveries of a lane, and about how many more
	// the lane holds. It blocks until there is one, at most for wait (the server
	// forgets the request then); then it returns none, and no error.
	Take(ctx context.Context, lane job.Lane, n int, wait time.Duration) (taken []*job.Delivery, backlog int, err error)

	// Publish stores the event, and returns once the server has acknowledged it, or
	// with an error within seconds. An event that is published again within
	// [Options].DedupWindow is stored once. The error wraps [job.ErrUnsendable] for an event
	// that no try will store.
	Publish(ctx context.Context, e *job.Event) error
	// Published tells whether the event of that id is in the stream, looking at
	// the account's events stored since that time.
	Published(ctx context.Context, wcID, eventID string, since time.Time) (bool, error)
	// LastWID returns the wId of the account's last succeeded event, "" where the
	// stream holds none, or that one can't be read.
	LastWID(ctx context.Context, wcID string) (string, error)

	// Watch calls ended after each event of a job that prompted the account, and
	// freed after each call of Freed for it, in any pod, from when Watch returns
	// until stop is called. Neither must block.
	Watch(ctx context.Context, wcID string, ended, freed func()) (stop func(), err error)
	// Freed tells those who watch the account that its lock was let go of without
	// an event. It does not block, and may be lost.
	Freed(wcID string)

	// Bury stores the delivery's bytes, untouched, with the reason. The error wraps
	// [job.ErrUnburiable] for a delivery that no try will store.
	Bury(ctx context.Context, d *job.Delivery, reason string) error
}

// Pauses tells what people have paused. Package queue implements it on a JetStream bucket.
type Pauses interface {
	// Paused returns nil when a job of that lane, tenant and account may make its phone
	// ask. When it is paused, the result is a channel that is closed once the pause is over
	// or has changed: ask again then. An empty tenant or account is that of no job. It does
	// not block.
	Paused(lane job.Lane, tenant, wcID string) (lifted <-chan struct{})
}

// noPauses never pauses anything.
type noPauses struct{}

func (noPauses) Paused(job.Lane, string, string) <-chan struct{} { return nil }

// Gateway makes confirmations. Package worker/gateway implements it on HTTP.
type Gateway interface {
	// SecondLogin makes the account's phone ask, and blocks until the person has
	// answered, the prompt died, or ctx ended. beforeSend is called right before the
	// first byte is written; its error is returned as it is, and nothing was sent
	// then. A nil error comes with one of the outcomes succeeded, failed and
	// needs_scan. [ErrNotStarted], [ErrRefused] and [ErrUnknownTenant] say that no
	// prompt was made; after any other error one may be open.
	SecondLogin(ctx context.Context, j *job.Job, beforeSend func() error) (Reply, error)
	// Online returns the account's login from the list of who is online,
	// [ErrNotOnline] when it is not listed, or [ErrNoList] when there is no list to
	// ask. It shows no prompt. The list may be a few seconds old, but was asked for
	// after that time.
	Online(ctx context.Context, tenant, wcID string, after time.Time) (*job.Login, error)
	// Access returns where and as whom the tenant's calls are made. It returns
	// [ErrUnknownTenant] for a tenant that is not configured, and does not block.
	Access(tenant string) (Access, error)
	// Addresses returns the base URL of every gateway that is configured.
	Addresses() []string
	// Tenants returns how many are configured. It does not block.
	Tenants() int
}

// Access tells gateways and credentials apart.
type Access struct {
	Address     string // the gateway's base URL, without credentials
	Fingerprint string // changes when the address or the credential does
}

// Reply is what the gateway answered to SecondLogin.
type Reply struct {
	Outcome job.Outcome
	Code    string
	Message string
	Login   *job.Login // with [Succeeded]
}

// Errors of a [Gateway].
var (
	ErrNotStarted    = errors.New("the gateway did not start the confirmation") // the call failed before any byte was written, or the gateway said so (429, 503)
	ErrRefused       = errors.New("the gateway refused the credential")         // 401 or 403
	ErrUnknownTenant = errors.New("unknown tenant")                             // no credential is configured for it
	ErrNoList        = errors.New("the gateway has no online list")             // or may not be asked for it
	ErrNotOnline     = errors.New("the account is not in the gateway's online list")
)
