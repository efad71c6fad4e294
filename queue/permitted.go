package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/worker"
)

const permittedAnswer = 5 * time.Second

// permitted returns an error wrapping [nats.ErrPermissionViolation] when this user may not
// take jobs or publish events. It asks for what the server answers without doing it, since
// a refusal comes as a mere silence where jobs are taken.
func (q *Queue) permitted(ctx context.Context) error {
	var asks []*nats.Msg
	for _, lane := range lanes {
		asks = append(asks, &nats.Msg{Subject: pullSubject(q.names.jobs(), string(lane)), Data: []byte("{")}) // not a request: 400
	}
	asks = append(asks, &nats.Msg{
		Subject: q.names.eventSubject(worker.Unknown, ""),
		Header:  nats.Header{nats.ExpectedStreamHdr: {"none"}}, // error 10060
	})
	for _, ask := range asks {
		if err := q.ask(ctx, ask); errors.Is(err, nats.ErrPermissionViolation) {
			return fmt.Errorf("try %s: %w", ask.Subject, err)
		}
	}
	return nil
}

func (q *Queue) ask(ctx context.Context, msg *nats.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, permittedAnswer)
	defer cancel()
	_, err := q.nc.RequestMsgWithContext(ctx, msg)
	return explain(q.nc, err)
}
