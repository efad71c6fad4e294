package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrTaken is returned when a stream of the namespace is there, and is somebody else's.
var ErrTaken = errors.New("the namespace is in use")

const (
	ownerKey    = "relogin-owner" // in a stream's metadata
	removePause = 500 * time.Millisecond
)

// Claim is [Setup] for who wants the namespace alone, for a while. It returns an error
// wrapping [ErrTaken] where anything of the namespace is there already. owner tells one
// claim from all others. After an error too some streams may be there: the caller calls
// [Remove] in any case.
func Claim(ctx context.Context, nc *nats.Conn, c Config, owner string) error {
	n, err := newNames(c.Namespace)
	if err != nil {
		return fmt.Errorf("claim namespace: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("claim namespace: %w", err)
	}
	if err := vacant(ctx, js, n); err != nil {
		return fmt.Errorf("claim namespace %s: %w", n, withPermissionHint(nc, err))
	}
	c.owner = owner
	return Setup(ctx, nc, c)
}

// Remove deletes those streams of the namespace that the owner's [Claim] has created,
// with all that is in them, and no others. It tries until none is left, and then returns
// nil, or until ctx ends.
func Remove(ctx context.Context, nc *nats.Conn, namespace, owner string) error {
	n, err := newNames(namespace)
	if err != nil {
		return fmt.Errorf("remove namespace: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("remove namespace: %w", err)
	}
	for _, name := range n.all() {
		for {
			try, cancel := context.WithTimeout(ctx, setupAnswer)
			err := removeStream(try, js, name, owner)
			cancel()
			if err == nil {
				break
			}
			select {
			case <-time.After(removePause):
			case <-ctx.Done():
				return fmt.Errorf("remove stream %s: %w", name, withPermissionHint(nc, err))
			}
		}
	}
	return nil
}

// vacant returns nil when no stream of the namespace is there.
func vacant(ctx context.Context, js jetstream.JetStream, n names) error {
	ctx, cancel := context.WithTimeout(ctx, setupAnswer)
	defer cancel()
	for _, name := range n.all() {
		switch _, err := js.Stream(ctx, name); {
		case err == nil:
			return fmt.Errorf("%w: stream %s is there", ErrTaken, name)
		case !errors.Is(err, jetstream.ErrStreamNotFound):
			return fmt.Errorf("look for stream %s: %w", name, err)
		}
	}
	return nil
}

// owned returns nil when every stream of the namespace is the owner's.
func owned(ctx context.Context, js jetstream.JetStream, n names, owner string) error {
	ctx, cancel := context.WithTimeout(ctx, setupAnswer)
	defer cancel()
	for _, name := range n.all() {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			return fmt.Errorf("look for stream %s: %w", name, err)
		}
		if stream.CachedInfo().Config.Metadata[ownerKey] != owner {
			return fmt.Errorf("%w: stream %s is there", ErrTaken, name)
		}
	}
	return nil
}

// removeStream returns nil when the owner has no such stream, or no longer.
func removeStream(ctx context.Context, js jetstream.JetStream, name, owner string) error {
	stream, err := js.Stream(ctx, name)
	if err == nil && stream.CachedInfo().Config.Metadata[ownerKey] == owner {
		err = js.DeleteStream(ctx, name)
	}
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	return err
}

// ownedBy is the metadata of what the owner creates.
func ownedBy(owner string) map[string]string {
	if owner == "" {
		return nil
	}
	return map[string]string{ownerKey: owner}
}

// all returns every stream of the namespace.
func (n names) all() []string {
	return []string{n.jobs(), n.events(), n.dead(), "KV_" + n.bucket()}
}
