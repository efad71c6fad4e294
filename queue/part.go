package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// part is a stream, the bucket or a consumer of a namespace.
type part[C any] struct {
	plan    *plan
	kind    kind
	where   string
	want    C
	rules   func(p *part[C], have *C) []rule
	inPlace string                            // the command that changes what NATS can change in place
	remake  string                            // how it is deleted and made again, where NATS can't
	byHand  string                            // how that is changed which somebody may have set on purpose
	read    func(context.Context) (*C, error) // nil, nil where it is missing
	create  func(context.Context) error       // nil where it is there already
	update  func(context.Context, C) error

	found  []Finding // by the last check
	mended C         // what that read, with all that NATS can change in place as it is wanted
}

func (p *part[C]) check(ctx context.Context) (found []Finding, err error) {
	var have *C
	err = p.plan.retry(ctx, func(ctx context.Context) (err error) { have, err = p.read(ctx); return err })
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", p.where, err)
	case have == nil:
		p.found = []Finding{{Severity: Missing, Where: p.where, Remedy: p.plan.config.command("setup")}}
		return p.found, nil
	}
	p.mended = *have
	for _, r := range p.rules(p, have) {
		f := Finding{
			Severity: r.severity, Where: p.where, Property: r.property, Has: show(have, r.property),
			Wanted: show(&p.want, r.property), Why: r.why, Remedy: r.remedy,
		}
		if r.of&p.kind == 0 || !r.wrong || f.Has == f.Wanted || slices.ContainsFunc(found, func(f Finding) bool { return f.Property == r.property }) {
			continue
		}
		found = append(found, f)
		if r.remedy == p.inPlace {
			field(&p.mended, r.property).Set(field(&p.want, r.property))
		}
	}
	p.found = found
	return found, nil
}

// fill creates it where it is missing still: another pod may have been faster.
func (p *part[C]) fill(ctx context.Context) error {
	found, err := p.check(ctx)
	if err == nil && slices.ContainsFunc(found, missing) {
		err = p.plan.retry(ctx, p.create)
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", p.where, err)
	}
	return nil
}

// mend changes what the check has found and NATS can change in place, unless it is somebody else's.
func (p *part[C]) mend(ctx context.Context) (changed []Finding, err error) {
	for _, f := range p.found {
		switch f.Remedy {
		case rename:
			return nil, nil
		case p.inPlace:
			f.Severity, f.Remedy = Changed, ""
			changed = append(changed, f)
		}
	}
	if len(changed) == 0 {
		return nil, nil
	}
	if err := p.plan.retry(ctx, func(ctx context.Context) error { return p.update(ctx, p.mended) }); err != nil {
		return nil, fmt.Errorf("change %s: %w", p.where, err)
	}
	return changed, nil
}

func (p *plan) stream(k kind, want streamConfig) *part[streamConfig] {
	update := p.config.command("setup --update")
	return &part[streamConfig]{
		plan: p, kind: k, where: "stream " + want.Name, want: want, rules: streamRules,
		inPlace: update, remake: p.remake(want.Name),
		byHand: fmt.Sprintf("if it shall take over from the stream that it mirrors: nats stream edit %s --no-mirror --force && %s", want.Name, update),
		read:   func(ctx context.Context) (*streamConfig, error) { return p.readStream(ctx, want.Name) },
		create: func(ctx context.Context) error {
			_, err := p.js.CreateStream(ctx, want)
			return unless(err, jetstream.ErrStreamNameAlreadyInUse) // by another pod, just now
		},
		update: func(ctx context.Context, mended streamConfig) error {
			_, err := p.js.UpdateStream(ctx, mended)
			return err
		},
	}
}

// readStream returns an error wrapping [ErrMismatch] for a stream of a namespace whose
// name differs only in case: streams have their names in upper case.
func (p *plan) readStream(ctx context.Context, name string) (*streamConfig, error) {
	stream, err := p.js.Stream(ctx, name)
	if err != nil {
		return nil, unless(err, jetstream.ErrStreamNotFound)
	}
	have := stream.CachedInfo().Config
	for _, subject := range have.Subjects {
		if first := firstToken(subject); first != string(p.names) && strings.EqualFold(first, string(p.names)) {
			return nil, fmt.Errorf("%w: it is that of namespace %s: choose a --namespace that differs from it in more than case", ErrMismatch, first)
		}
	}
	return &have, nil
}

// consumer is a durable consumer of the stream. How it is made again is for the caller to say.
func (p *plan) consumer(k kind, stream string, want consumerConfig) *part[consumerConfig] {
	name := want.Durable
	return &part[consumerConfig]{
		plan: p, kind: k, where: fmt.Sprintf("consumer %s of stream %s", name, stream), want: want, rules: consumerRules,
		inPlace: p.config.command("setup --update"), byHand: fmt.Sprintf("nats consumer resume %s %s", stream, name),
		read: func(ctx context.Context) (*consumerConfig, error) { return p.readConsumer(ctx, stream, name) },
		create: func(ctx context.Context) error {
			_, err := p.js.CreateConsumer(ctx, stream, want)
			return unless(err, jetstream.ErrConsumerExists) // another pod's, just now, set otherwise
		},
		update: func(ctx context.Context, mended consumerConfig) error {
			_, err := p.js.UpdateConsumer(ctx, stream, mended)
			return err
		},
	}
}

func (p *plan) readConsumer(ctx context.Context, stream, name string) (*consumerConfig, error) {
	consumer, err := p.js.Consumer(ctx, stream, name)
	if errors.Is(err, jetstream.ErrNotPullConsumer) {
		push, err := p.js.PushConsumer(ctx, stream, name)
		if err != nil {
			return nil, err
		}
		return &push.CachedInfo().Config, nil
	}
	if err != nil {
		return nil, unless(err, jetstream.ErrConsumerNotFound, jetstream.ErrStreamNotFound)
	}
	return &consumer.CachedInfo().Config, nil
}

// unless returns nil for an error that is one of these.
func unless(err error, these ...error) error {
	if isAny(err, these...) {
		return nil
	}
	return err
}

func isAny(err error, these ...error) bool {
	return slices.ContainsFunc(these, func(one error) bool { return errors.Is(err, one) })
}
