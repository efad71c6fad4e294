package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// part is a stream, the bucket or a consumer of a namespace.
type part[C any] struct {
	where  string
	rules  []rule[C]
	want   C
	remedy map[remedy]string
	retry  func(ctx context.Context, ask func(context.Context) error) error // of what follows
	read   func(context.Context) (*C, error)                                // nil, nil where it is missing
	create func(context.Context) error
	update func(context.Context, C) error
}

// now returns it as it is, nil where it is missing.
func (p *part[C]) now(ctx context.Context) (have *C, err error) {
	err = p.retry(ctx, func(ctx context.Context) error { have, err = p.read(ctx); return err })
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", p.where, err)
	}
	return have, nil
}

// check returns what is not as it is wanted.
func (p *part[C]) check(ctx context.Context, c *Config) (found []Finding, err error) {
	have, err := p.now(ctx)
	switch {
	case err != nil:
		return nil, err
	case have == nil:
		return []Finding{{Severity: Missing, Where: p.where, Remedy: c.command("setup")}}, nil
	}
	rules, _ := judge(c, p.rules, have, &p.want)
	for _, r := range rules {
		found = append(found, p.finding(r, have))
	}
	return found, nil
}

func (p *part[C]) finding(r rule[C], have *C) Finding {
	return Finding{
		Severity: r.severity, Where: p.where, Property: r.property, Has: show(have, r.property),
		Wanted: show(&p.want, r.property), Why: r.why, Remedy: p.remedy[r.remedy],
	}
}

// fill creates it where it is missing.
func (p *part[C]) fill(ctx context.Context) error {
	have, err := p.now(ctx)
	if err != nil || have != nil {
		return err
	}
	err = unless(p.retry(ctx, p.create), jetstream.ErrStreamNameAlreadyInUse, jetstream.ErrBucketExists, jetstream.ErrConsumerExists)
	if err != nil { // else another pod may have made it just now, and otherwise
		return fmt.Errorf("create %s: %w", p.where, err)
	}
	return nil
}

// mend changes what NATS can change in place, and returns what it has changed. It leaves
// alone what is somebody else's, and what is missing.
func (p *part[C]) mend(ctx context.Context, c *Config) (changed []Finding, err error) {
	have, err := p.now(ctx)
	if err != nil || have == nil {
		return nil, err
	}
	rules, mended := judge(c, p.rules, have, &p.want)
	if slices.ContainsFunc(rules, func(r rule[C]) bool { return r.remedy == rename }) {
		return nil, nil
	}
	for _, r := range rules {
		if r.remedy == inPlace {
			f := p.finding(r, have)
			f.Severity, f.Remedy = Changed, ""
			changed = append(changed, f)
		}
	}
	if len(changed) == 0 {
		return nil, nil
	}
	if err := p.retry(ctx, func(ctx context.Context) error { return p.update(ctx, mended) }); err != nil {
		return nil, fmt.Errorf("change %s: %w", p.where, err)
	}
	return changed, nil
}

func (p *plan) stream(want streamConfig, rules []rule[streamConfig]) *part[streamConfig] {
	name := want.Name
	one := &part[streamConfig]{where: "stream " + name, retry: p.retry, rules: slices.Concat(everyStream, rules), want: want}
	one.remedy = map[remedy]string{
		inPlace: p.config.command("setup --update"),
		remake:  p.remake(name),
		promote: fmt.Sprintf("if it shall take over from the stream that it mirrors: nats stream edit %s --no-mirror --force && %s", name, p.config.command("setup --update")),
		rename:  "choose another --namespace, or delete the stream if nobody needs it",
	}
	one.read = func(ctx context.Context) (*streamConfig, error) { return p.readStream(ctx, name) }
	one.create = func(ctx context.Context) error {
		_, err := p.js.CreateStream(ctx, want)
		return err
	}
	one.update = func(ctx context.Context, mended streamConfig) error {
		_, err := p.js.UpdateStream(ctx, mended)
		return err
	}
	return one
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
		if p.names.twin(firstToken(subject)) {
			return nil, fmt.Errorf("%w: it is that of namespace %s: choose a --namespace that differs from it in more than case",
				ErrMismatch, firstToken(subject))
		}
	}
	return &have, nil
}

func (p *plan) laneConsumer(want consumerConfig) *part[consumerConfig] {
	one, setup := p.consumer(p.names.jobs(), want, laneRules), p.config.command("setup")
	one.remedy[inPlace] = p.config.command("setup --update")
	one.remedy[remake] = fmt.Sprintf("NATS can't. Stop all workers, and: nats consumer rm %s %s && %s", p.names.jobs(), want.Durable, setup)
	return one
}

// consumer is a durable consumer of the stream. Its remedies are the caller's, but for one.
func (p *plan) consumer(stream string, want consumerConfig, rules []rule[consumerConfig]) *part[consumerConfig] {
	name := want.Durable
	one := &part[consumerConfig]{where: fmt.Sprintf("consumer %s of stream %s", name, stream), retry: p.retry, rules: rules, want: want}
	one.remedy = map[remedy]string{resume: fmt.Sprintf("nats consumer resume %s %s", stream, name)}
	one.read = func(ctx context.Context) (*consumerConfig, error) { return p.readConsumer(ctx, stream, name) }
	one.create = func(ctx context.Context) error {
		_, err := p.js.CreateConsumer(ctx, stream, want)
		return err
	}
	one.update = func(ctx context.Context, mended consumerConfig) error {
		_, err := p.js.UpdateConsumer(ctx, stream, mended)
		return err
	}
	return one
}

func (p *plan) readConsumer(ctx context.Context, stream, name string) (*consumerConfig, error) {
	var info *jetstream.ConsumerInfo
	consumer, err := p.js.Consumer(ctx, stream, name)
	if err == nil {
		info = consumer.CachedInfo()
	}
	if errors.Is(err, jetstream.ErrNotPullConsumer) {
		var push jetstream.PushConsumer
		if push, err = p.js.PushConsumer(ctx, stream, name); err == nil {
			info = push.CachedInfo()
		}
	}
	if err != nil {
		return nil, unless(err, jetstream.ErrConsumerNotFound, jetstream.ErrStreamNotFound)
	}
	return &info.Config, nil
}

// unless returns nil for an error that is one of these.
func unless(err error, these ...error) error {
	if slices.ContainsFunc(these, func(one error) bool { return errors.Is(err, one) }) {
		return nil
	}
	return err
}
