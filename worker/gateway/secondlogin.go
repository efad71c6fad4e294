package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/gateway/postonce"
	"github.com/relogin/relogin/worker/job"
)

// SecondLogin implements [worker.Gateway]. Besides that interface's errors it returns
// [ErrAmbiguous]. errors.Is finds a context's error in either only when ctx has ended:
// a dial time-out is not one. beforeSend is called once, unless a connection failed
// before it took a byte: then once more before the first byte on the next.
func (c *Client) SecondLogin(ctx context.Context, j *job.Job, beforeSend func() error) (worker.Reply, error) {
	t, err := c.tenant(j.Tenant)
	if err != nil {
		return worker.Reply{}, err
	}
	var veto error
	// Calls wait within Post: what is done before and after takes no room of the stack then.
	resp, started, err := c.http.Post(ctx, secondLogin(ctx, t, j, beforeSend, &veto))
	if err != nil {
		return worker.Reply{}, failure(ctx, started, veto, err)
	}
	return c.readReply(ctx, t, resp)
}

// secondLogin returns the call that asks for the job's confirmation. If beforeSend forbids
// it, veto is why.
func secondLogin(ctx context.Context, t *tenant, j *job.Job, beforeSend func() error, veto *error) *postonce.Call {
	return &postonce.Call{Endpoint: t.secondLogin, Body: secondLoginBody(j), BeforeSend: func() error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		*veto = beforeSend()
		return *veto
	}}
}

// failure returns the error of a call that has no reply.
func failure(ctx context.Context, started bool, veto, err error) error {
	switch {
	case started:
		return because(ctx, ErrAmbiguous, err)
	case veto != nil:
		return veto
	}
	return because(ctx, worker.ErrNotStarted, err)
}

// because adds the cause to an error class. It wraps ctx's own error only: the time-outs
// of package net pass for it, and say something else.
func because(ctx context.Context, class, cause error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", class, context.Cause(ctx))
	}
	return fmt.Errorf("%w: %v", class, cause)
}

// readReply turns the reply to a request that got out into the call's result, and closes it.
func (c *Client) readReply(ctx context.Context, t *tenant, resp *http.Response) (reply worker.Reply, err error) {
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return worker.Reply{}, fmt.Errorf("%w: HTTP %d", worker.ErrRefused, resp.StatusCode)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return worker.Reply{}, fmt.Errorf("%w: HTTP %d", worker.ErrNotStarted, resp.StatusCode)
	}
	body := bodies.Get().(*bytes.Buffer)
	defer putBody(body)
	n, err := readBody(body, resp.Body)
	switch {
	case err != nil && !errors.Is(err, errLongReply):
		return worker.Reply{}, because(ctx, fmt.Errorf("%w: read reply: %s", ErrAmbiguous, describe(resp, n)), err)
	case resp.StatusCode/100 != 2:
		err = ErrAmbiguous
	case err != nil:
		err = fmt.Errorf("%w: %w", ErrAmbiguous, err)
	default:
		reply, err = parse(body.Bytes(), t.redactor)
	}
	if err != nil {
		return worker.Reply{}, fmt.Errorf("%w: %s", err, c.explain(ctx, t, resp, body.Bytes(), n))
	}
	return reply, nil
}

// bodies are for replies being read. What parse returns shares no memory with them.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func putBody(body *bytes.Buffer) {
	if body.Cap() <= usualBytes { // few replies are larger
		body.Reset()
		bodies.Put(body)
	}
}
