package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/worker/job"
)

const permittedAnswer = 5 * time.Second

// permitted returns an error wrapping [nats.ErrPermissionViolation] when this user may not
// take jobs or publish events. It asks for what the server answers without doing it, since
// a refusal comes as a mere silence where jobs are taken.
func (q *Queue) permitted(ctx context.Context) error {
	var asks []*nats.Msg
	for _, lane := range lanes {
		asks = append(asks, refusedPull(q.names.jobs(), string(lane)))
	}
	asks = append(asks, refusedPublish(q.names.eventSubject(job.Unknown, "")))
	for _, one := range asks {
		if err := ask(ctx, q.nc, one); errors.Is(err, nats.ErrPermissionViolation) {
			return fmt.Errorf("try %s: %w", one.Subject, err)
		}
	}
	return nil
}

// refusedPull is no request for messages: the server answers with status 400.
func refusedPull(stream, consumer string) *nats.Msg {
	return &nats.Msg{Subject: pullSubject(stream, consumer), Data: []byte("{")}
}

// refusedPublish is a message that no stream stores: the server answers with error 10060.
func refusedPublish(subject string) *nats.Msg {
	return &nats.Msg{Subject: subject, Header: nats.Header{nats.ExpectedStreamHdr: {"none"}}}
}

func ask(ctx context.Context, nc *nats.Conn, msg *nats.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, permittedAnswer)
	defer cancel()
	_, err := nc.RequestMsgWithContext(ctx, msg)
	return withPermissionHint(nc, err)
}
