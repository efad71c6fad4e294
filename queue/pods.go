package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/synadia-io/orbit.go/natsext"
)

const (
	podsTimeout = 3 * time.Second        // how long pods get to answer
	podsStall   = 300 * time.Millisecond // after the last answer no more are waited for
)

// PodService is what a pod answers to those who ask. Each function returns what is sent as JSON. It
// is called for one request after the other, and answers within a fifth of a second: who asks waits
// little longer for one pod after the answer of another.
type PodService struct {
	Pod     string                // its name
	Version string                // of the program: a semantic version, or else 0.0.0-dev is told
	State   func() any            // what the pod does
	Account func(wcID string) any // what it does with an account's jobs

	// LookAgain has a job that waits in the pod look what has become of it.
	LookAgain func(wcID, jobID string)
}

// semantic is a version that the service API takes.
var semantic = regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)

// ServePod has the pod answer as an instance of the NATS service that is named as the namespace,
// so that nats micro shows it, until stop is called. It blocks until the server has the
// subscriptions. An empty namespace is the default.
//
//	<namespace>.pods.state     State
//	<namespace>.pods.account   Account of the wcId that is the request's body
//	<namespace>.pods.look      LookAgain for the job that is the request's body: {"wcId", "jobId"}; answers {}
//
// Every pod answers every request.
func ServePod(ctx context.Context, nc *nats.Conn, namespace string, p PodService) (stop func(), err error) {
	c, err := newClient(nc, namespace)
	if err != nil {
		return nil, fmt.Errorf("serve pod: %w", err)
	}
	version := p.Version
	if !semantic.MatchString(version) {
		version = "0.0.0-dev"
	}
	service, err := micro.AddService(nc, micro.Config{
		Name: string(c.names), Version: version, QueueGroupDisabled: true,
		Description: "a relogin worker", Metadata: map[string]string{"pod": p.Pod, "version": p.Version},
	})
	if err != nil {
		return nil, fmt.Errorf("serve pod: %w", err)
	}
	stop = func() { _ = service.Stop() } // fails when the connection is closed
	for name, answer := range map[string]func(micro.Request) any{
		"state":   func(micro.Request) any { return p.State() },
		"account": func(r micro.Request) any { return p.Account(string(r.Data())) },
		"look": func(r micro.Request) any {
			var j lookAgain
			if json.Unmarshal(r.Data(), &j) == nil { // else it is about no job
				p.LookAgain(j.WcID, j.JobID)
			}
			return struct{}{}
		},
	} {
		handle := func(r micro.Request) { _ = r.RespondJSON(answer(r)) } // who asks sees that a pod is missing
		if err := service.AddEndpoint(name, micro.HandlerFunc(handle), micro.WithEndpointSubject(c.names.pods(name))); err != nil {
			stop()
			return nil, fmt.Errorf("serve pod: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, setupAnswer)
	defer cancel()
	if err := nc.FlushWithContext(ctx); err != nil {
		stop()
		return nil, fmt.Errorf("serve pod: %w", err)
	}
	return stop, nil
}

// AskPods asks all pods of the namespace for their states, and returns what those answered that
// run: one that is frozen or cut off does not. It blocks until no more answers come, for about
// three seconds at most. Answers that can't be decoded, of a pod of another version perhaps, are left
// out; it is an error when there are no others. An empty namespace is the default.
func AskPods[T any](ctx context.Context, nc *nats.Conn, namespace string) ([]T, error) {
	return askPods[T](ctx, nc, namespace, "state", nil)
}

// AskPodsAbout asks all pods what they do with the account's jobs, as [AskPods].
func AskPodsAbout[T any](ctx context.Context, nc *nats.Conn, namespace, wcID string) ([]T, error) {
	return askPods[T](ctx, nc, namespace, "account", []byte(wcID))
}

func askPods[T any](ctx context.Context, nc *nats.Conn, namespace, what string, body []byte) (all []T, err error) {
	c, err := newClient(nc, namespace)
	if err != nil {
		return nil, fmt.Errorf("ask pods: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, podsTimeout)
	defer cancel()
	answers, err := natsext.RequestMany(ctx, nc, c.names.pods(what), body, natsext.RequestManyStall(podsStall))
	if err != nil {
		return nil, fmt.Errorf("ask pods: %w", err)
	}
	var unreadable error
	for msg, err := range answers {
		switch {
		case errors.Is(err, nats.ErrNoResponders), err == nil && msg.Header.Get("Status") == "503":
			return nil, nil // no pod runs
		case err != nil:
			return nil, fmt.Errorf("ask pods: %w", withPermissionHint(nc, err))
		}
		var one T
		if err := json.Unmarshal(msg.Data, &one); err != nil {
			unreadable = fmt.Errorf("ask pods: read an answer on %s: %w", c.names.pods(what), err)
			continue
		}
		all = append(all, one)
	}
	switch {
	case len(all) > 0:
		return all, nil
	case unreadable == nil && errors.Is(nc.LastError(), nats.ErrPermissionViolation): // which is silence here
		return nil, fmt.Errorf("ask pods: %w", withPermissionHint(nc, nats.ErrTimeout))
	}
	return nil, unreadable
}

type lookAgain struct {
	WcID  string `json:"wcId"`
	JobID string `json:"jobId"`
}

// TellPods has pods where the job waits look what has become of it. It does not block, and may be
// lost: a pod looks later, too.
func TellPods(nc *nats.Conn, namespace, wcID, jobID string) error {
	c, err := newClient(nc, namespace)
	if err != nil {
		return fmt.Errorf("tell pods: %w", err)
	}
	data, err := json.Marshal(lookAgain{wcID, jobID})
	if err == nil {
		err = nc.Publish(c.names.pods("look"), data)
	}
	if err != nil {
		return fmt.Errorf("tell pods: %w", err)
	}
	return nil
}
