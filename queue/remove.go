package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Remove deletes the streams of the namespace that are there, with all that is in them. An
// empty namespace is the default.
func Remove(ctx context.Context, nc *nats.Conn, namespace string) error {
	n, err := newNames(namespace)
	if err != nil {
		return fmt.Errorf("remove namespace: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("remove namespace: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, setupAnswer)
	defer cancel()
	for _, name := range n.all() {
		_, err := js.Stream(ctx, name) // whoever set up nothing may lack the permission to delete
		if err == nil {
			err = js.DeleteStream(ctx, name)
		}
		if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("remove stream %s: %w", name, withPermissionHint(nc, err))
		}
	}
	return nil
}
