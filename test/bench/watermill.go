package main

import (
	"context"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/bsm/redislock"
	"github.com/nats-io/nats.go"
)

// runWatermill is a Watermill router between two JetStream topics, under redislock.
func runWatermill(ctx context.Context, s *setting) error {
	client, err := s.redis()
	if err != nil {
		return err
	}
	locks := redislock.New(client)
	nc, js, err := s.jetStream()
	if err != nil {
		return err
	}
	defer nc.Close()
	// Watermill makes a consumer of its own, and a work queue lets no two have a subject.
	if err := js.DeleteConsumer(ctx, strings.ToUpper(s.namespace)+"_JOBS", "normal"); err != nil {
		return err
	}
	quiet := watermill.NopLogger{}
	subscriber, err := wmnats.NewSubscriber(wmnats.SubscriberConfig{
		URL: s.natsURL, QueueGroupPrefix: "watermill", SubscribersCount: s.atOnce, Unmarshaler: &wmnats.NATSMarshaler{},
		JetStream: wmnats.JetStreamConfig{DurablePrefix: "watermill", AckAsync: true,
			SubscribeOptions: []nats.SubOpt{nats.MaxAckPending(2 * s.atOnce), nats.AckExplicit(), nats.ManualAck()}},
	}, quiet)
	if err != nil {
		return err
	}
	publisher, err := wmnats.NewPublisher(wmnats.PublisherConfig{
		URL: s.natsURL, Marshaler: &wmnats.NATSMarshaler{}, JetStream: wmnats.JetStreamConfig{TrackMsgId: true},
	}, quiet)
	if err != nil {
		return err
	}
	router, err := message.NewRouter(message.RouterConfig{}, quiet)
	if err != nil {
		return err
	}
	router.AddConsumerHandler("relogin", s.namespace+".jobs.normal", subscriber, func(m *message.Message) error {
		j, err := decodeJob(m.Payload)
		if err != nil {
			return err
		}
		return locked(m.Context(), locks, j, func() error {
			r, event, err := s.confirm(m.Context(), j, time.Now())
			if err != nil {
				return err
			}
			return publisher.Publish(s.eventSubject(r), message.NewMessage(r.ID, event))
		})
	})
	return router.Run(ctx)
}
