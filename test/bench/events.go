package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/vmihailenco/msgpack/v5"
)

// stored is an event as the stream has it.
type stored struct {
	result
	at time.Time // when it was stored
}

// all returns the events of the stream, in order.
func (c *contest) all(ctx context.Context) ([]stored, error) {
	have, _, err := c.events(ctx)
	if err != nil {
		return nil, err
	}
	consumer, err := c.js.OrderedConsumer(ctx, c.stream("EVENTS"), jetstream.OrderedConsumerConfig{})
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(4096))
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	defer messages.Stop()
	var events []stored
	for len(events) < have {
		msg, err := messages.Next()
		if err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		e := stored{at: meta.Timestamp}
		if err := msgpack.Unmarshal(msg.Data(), &e.result); err != nil {
			return nil, fmt.Errorf("read event: %w", err)
		}
		events = append(events, e)
	}
	return events, nil
}
