package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker/job"
)

// StreamState is how a stream is kept.
type StreamState struct {
	Name      string
	Replicas  int           // that it should have
	Behind    []string      // servers whose copy is not up to date, or that are offline
	Lead      time.Duration // of the server's clock before this machine's, to within the round trip
	RoundTrip time.Duration
}

// StreamStates returns how the namespace's streams are kept. It blocks until the server has
// answered. Those that are not there are left out. An empty namespace is the default.
func StreamStates(ctx context.Context, nc *nats.Conn, namespace string) ([]StreamState, error) {
	c, err := newClient(nc, namespace)
	if err != nil {
		return nil, fmt.Errorf("read the state of streams: %w", err)
	}
	var all []StreamState
	for _, name := range c.names.all() {
		asked := time.Now()
		stream, err := c.js.Stream(ctx, name)
		if err != nil {
			continue // [Check] tells of it
		}
		info := stream.CachedInfo()
		s := StreamState{Name: name, Replicas: info.Config.Replicas, RoundTrip: time.Since(asked)}
		s.Lead = info.TimeStamp.Sub(asked.Add(s.RoundTrip / 2))
		_, s.Behind = copies(info)
		all = append(all, s)
	}
	return all, nil
}

// copies returns how many servers have all of a stream, and those that should and have not.
func copies(info *jetstream.StreamInfo) (current int, behind []string) {
	current = 1
	if info.Cluster == nil {
		return current, nil
	}
	for _, replica := range info.Cluster.Replicas {
		if replica.Current && !replica.Offline {
			current++
		} else {
			behind = append(behind, replica.Name)
		}
	}
	return current, behind
}

// TryPermissions tries what a worker needs of NATS, and some of what it does not need, by
// requests that the server refuses or that change nothing. It returns what this user may not do
// although a worker needs it, and what it may do beyond that. It blocks until the server has
// answered, for some seconds where it refuses much. An empty namespace is the default.
func TryPermissions(ctx context.Context, nc *nats.Conn, namespace string) (missing, surplus []string, err error) {
	c, err := newClient(nc, namespace)
	if err != nil {
		return nil, nil, fmt.Errorf("try permissions: %w", err)
	}
	n := c.names
	for _, one := range []struct {
		what string
		msg  *nats.Msg
	}{
		{"take jobs", refusedPull(n.jobs(), string(job.Urgent))},
		{"take jobs", refusedPull(n.jobs(), string(job.Normal))},
		{"publish events", refusedPublish(n.eventSubject(job.Unknown, ""))},
		{"store dead letters", refusedPublish(n.deadSubject(job.Normal))},
		{"share what it knows of Redis", refusedPublish("$KV." + n.redis() + ".doctor")},
		{"see what is paused", &nats.Msg{Subject: "$JS.API.CONSUMER.CREATE.KV_" + n.control() + ".doctor.$KV." + n.control() + ".>", Data: []byte("{")}},
	} {
		if err := ask(ctx, nc, one.msg); errors.Is(err, nats.ErrPermissionViolation) {
			missing = append(missing, fmt.Sprintf("%s (publish to %s)", one.what, one.msg.Subject))
		}
	}
	for _, subject := range []string{n.account("doctor"), n.pods("state")} {
		if refused, err := refusesSubscription(nc, subject); err != nil {
			return nil, nil, fmt.Errorf("try permissions: %w", err)
		} else if refused {
			missing = append(missing, "subscribe to "+subject)
		}
	}
	create, _ := json.Marshal("no stream") // the server takes objects alone
	for _, one := range []struct {
		what string
		msg  *nats.Msg
	}{
		{"publish jobs", refusedPublish(n.jobSubject(job.Normal))},
		{"create streams", &nats.Msg{Subject: "$JS.API.STREAM.CREATE." + n.stream("DOCTOR"), Data: create}},
		{"write into the audit", refusedPublish(string(n) + ".audit.doctor")},
	} {
		if err := ask(ctx, nc, one.msg); err == nil {
			surplus = append(surplus, one.what)
		}
	}
	return missing, surplus, nil
}

// refusesSubscription tells whether the server refuses the subscription, which it ends at once.
func refusesSubscription(nc *nats.Conn, subject string) (bool, error) {
	before := fmt.Sprint(nc.LastError())
	sub, err := nc.SubscribeSync(subject)
	if err == nil {
		err = nc.FlushTimeout(setupAnswer)
	}
	if errors.Is(err, nats.ErrPermissionViolation) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	_ = sub.Unsubscribe() // fails when the connection is closed
	now := nc.LastError()
	return fmt.Sprint(now) != before && errors.Is(now, nats.ErrPermissionViolation), nil
}
