package queue

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/job"
)

// wrongStreams are streams with one wrong property, by the rule that finds it.
var wrongStreams = []struct {
	kinds    kind
	property string
	severity Severity
	spoil    func(n names, c *streamConfig)
}{
	{ofAll, "mirror", Breaks, func(_ names, c *streamConfig) {
		*c = streamConfig{Name: c.Name, Mirror: &jetstream.StreamSource{Name: "OTHER"}}
	}},
	{ofAll, "sources", Breaks, func(_ names, c *streamConfig) { c.Sources = []*jetstream.StreamSource{{Name: "OTHER"}} }},
	{ofAll, "subjects", Breaks, func(_ names, c *streamConfig) { c.Subjects = []string{"somebody.else." + c.Name} }},
	{ofAll, "subjects", Breaks, func(_ names, c *streamConfig) {
		c.Subjects = []string{strings.Replace(c.Subjects[0], ".", ".more.", 1), c.Subjects[0]}
	}},
	{ofAll, "subject_transform", Breaks, func(_ names, c *streamConfig) {
		c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: ">", Destination: "elsewhere.>"}
	}},
	{ofAll, "republish", Breaks, func(n names, c *streamConfig) {
		c.RePublish = &jetstream.RePublish{Source: ">", Destination: string(n) + ".copies.>"}
	}},
	{ofAll, "storage", Breaks, func(_ names, c *streamConfig) { c.Storage = jetstream.MemoryStorage }},
	{ofAll, "persist_mode", Breaks, func(_ names, c *streamConfig) { c.PersistMode = jetstream.AsyncPersistMode }},
	{ofAll, "sealed", Breaks, func(_ names, c *streamConfig) { c.Sealed = true }},
	{ofAll, "no_ack", Breaks, func(_ names, c *streamConfig) { c.NoAck = true }},
	{ofAll, "allow_msg_counter", Breaks, func(_ names, c *streamConfig) {
		c.AllowMsgCounter, c.AllowMsgTTL, c.Discard, c.Retention = true, false, jetstream.DiscardOld, jetstream.LimitsPolicy
	}},

	{ofJobs, "retention", Breaks, func(_ names, c *streamConfig) { c.Retention = jetstream.LimitsPolicy }},
	{ofKept, "retention", Breaks, func(_ names, c *streamConfig) { c.Retention = jetstream.WorkQueuePolicy }},
	{ofKept, "retention", Breaks, func(_ names, c *streamConfig) { c.Retention = jetstream.InterestPolicy }},
	{ofJobs | ofEvents | ofBuckets, "max_age", Breaks, func(_ names, c *streamConfig) { c.MaxAge, c.Duplicates = time.Second, time.Second }},
	{ofEvents | ofDead | ofAudit, "max_age", Differs, func(_ names, c *streamConfig) { c.MaxAge = 24 * time.Hour }},
	{ofJobs, "allow_msg_ttl", Breaks, func(_ names, c *streamConfig) { c.AllowMsgTTL = true }},
	{ofControl, "allow_msg_ttl", Breaks, func(_ names, c *streamConfig) { c.AllowMsgTTL = false }},
	{ofMessages, "allow_msg_schedules", Breaks, func(_ names, c *streamConfig) { c.AllowMsgSchedules, c.Discard = true, jetstream.DiscardOld }},
	{ofMessages, "allow_rollup_hdrs", Breaks, func(_ names, c *streamConfig) { c.AllowRollup = true }},
	{ofControl, "allow_rollup_hdrs", Breaks, func(_ names, c *streamConfig) { c.AllowRollup = false }},
	{ofJobs | ofEvents | ofBuckets, "max_msgs", Breaks, func(_ names, c *streamConfig) { c.MaxMsgs, c.Discard = 5, jetstream.DiscardOld }},
	{ofAll, "max_msgs", Differs, func(_ names, c *streamConfig) { c.MaxMsgs, c.Discard = 5, jetstream.DiscardNew }},
	{ofJobs | ofEvents | ofBuckets, "max_bytes", Breaks, func(_ names, c *streamConfig) { c.MaxBytes, c.Discard = 5000, jetstream.DiscardOld }},
	{ofAll, "max_bytes", Differs, func(_ names, c *streamConfig) { c.MaxBytes, c.Discard = 5000, jetstream.DiscardNew }},
	{ofJobs | ofEvents, "max_msgs_per_subject", Breaks, func(_ names, c *streamConfig) { c.MaxMsgsPerSubject = 5 }},
	{ofBuckets, "max_msgs_per_subject", Breaks, func(_ names, c *streamConfig) { c.MaxMsgsPerSubject = -1 }},
	{ofJobs | ofDead | ofAudit, "max_msgs_per_subject", Differs, perSubject},
	{ofMessages, "discard_new_per_subject", Differs, perSubject},
	{ofBuckets, "discard_new_per_subject", Breaks, perSubject},
	{ofJobs | ofEvents | ofBuckets, "discard", Differs, func(_ names, c *streamConfig) { c.Discard = jetstream.DiscardOld }},
	{ofDead | ofAudit, "discard", Differs, func(_ names, c *streamConfig) { c.Discard = jetstream.DiscardNew }},
	{ofAll, "max_msg_size", Breaks, func(_ names, c *streamConfig) { c.MaxMsgSize = 100 }},
	{ofMessages, "max_msg_size", Differs, func(_ names, c *streamConfig) { c.MaxMsgSize = 512 << 10 }},
	{ofJobs | ofEvents, "duplicate_window", Breaks, func(_ names, c *streamConfig) { c.Duplicates = 30 * time.Minute }},
	{ofEvents, "duplicate_window", Breaks, func(_ names, c *streamConfig) { c.Duplicates = time.Second }},
	{ofJobs | ofEvents, "duplicate_window", Differs, func(_ names, c *streamConfig) { c.Duplicates = 3 * time.Minute }},
	{ofEvents | ofRedis, "allow_direct", Breaks, func(_ names, c *streamConfig) { c.AllowDirect = false }},
	{ofJobs | ofDead | ofAudit | ofControl, "allow_direct", Differs, func(_ names, c *streamConfig) { c.AllowDirect = false }},
	{ofJobs | ofEvents, "consumer_limits", Differs, func(_ names, c *streamConfig) { c.ConsumerLimits.InactiveThreshold = time.Hour }},
	{ofJobs | ofEvents, "max_consumers", Differs, func(_ names, c *streamConfig) { c.MaxConsumers = 10 }},
	{ofMessages, "description", Differs, func(_ names, c *streamConfig) { c.Description = "mine" }},
}

func perSubject(_ names, c *streamConfig) {
	c.MaxMsgsPerSubject, c.DiscardNewPerSubject, c.Discard = 5, true, jetstream.DiscardNew
}

// wrongConsumers are consumers with one wrong property, by the rule that finds it.
var wrongConsumers = []struct {
	property string
	severity Severity
	spoil    func(c *consumerConfig)
}{
	{"deliver_subject", Breaks, func(c *consumerConfig) { c.DeliverSubject, c.MaxWaiting = "elsewhere", 0 }},
	{"filter_subject", Breaks, func(c *consumerConfig) { c.FilterSubject += ".more" }},
	{"filter_subjects", Breaks, func(c *consumerConfig) {
		c.FilterSubject, c.FilterSubjects = "", []string{c.FilterSubject, c.FilterSubject + ".more"}
	}},
	{"deliver_policy", Breaks, func(c *consumerConfig) { c.DeliverPolicy = jetstream.DeliverNewPolicy }},
	{"ack_policy", Breaks, func(c *consumerConfig) { c.AckPolicy = jetstream.AckNonePolicy }},
	{"replay_policy", Breaks, func(c *consumerConfig) { c.ReplayPolicy = jetstream.ReplayOriginalPolicy }},
	{"mem_storage", Breaks, func(c *consumerConfig) { c.MemoryStorage = true }},
	{"inactive_threshold", Breaks, func(c *consumerConfig) { c.InactiveThreshold = time.Hour }},
	{"headers_only", Breaks, func(c *consumerConfig) { c.HeadersOnly = true }},
	{"max_deliver", Breaks, func(c *consumerConfig) { c.MaxDeliver = 2 }},
	{"max_ack_pending", Breaks, func(c *consumerConfig) { c.MaxAckPending = 1000 }},
	{"backoff", Breaks, func(c *consumerConfig) { c.BackOff, c.AckWait = []time.Duration{time.Second, time.Minute}, time.Second }},
	{"ack_wait", Breaks, func(c *consumerConfig) { c.AckWait = 100 * time.Millisecond }},
	{"ack_wait", Differs, func(c *consumerConfig) { c.AckWait = time.Minute }},
	{"max_batch", Breaks, func(c *consumerConfig) { c.MaxRequestBatch = 1 }},
	{"max_expires", Breaks, func(c *consumerConfig) { c.MaxRequestExpires = time.Second }},
	{"max_bytes", Breaks, func(c *consumerConfig) { c.MaxRequestMaxBytes = 100 }},
	{"priority_policy", Breaks, pinned}, {"priority_groups", Breaks, pinned}, {"priority_timeout", Breaks, pinned},
	{"max_waiting", Differs, func(c *consumerConfig) { c.MaxWaiting = 10 }},
	{"num_replicas", Differs, func(c *consumerConfig) { c.Replicas = 1 }},
	{"pause_until", Differs, func(c *consumerConfig) { until := time.Now().Add(time.Hour); c.PauseUntil = &until }},
}

func pinned(c *consumerConfig) {
	c.PriorityPolicy, c.PriorityGroups, c.PinnedTTL = jetstream.PriorityPolicyPinned, []string{"g"}, time.Minute
}

// A property that is wrong is found, refused or told, left alone by all but Update, and
// mended by that where NATS lets it. Every rule finds something.
func TestStreamRules(t *testing.T) {
	servers.SkipIfShort(t, "it tries every rule on every stream")
	t.Parallel()
	nc, js := ruleServer(t)
	hit := map[string]bool{}
	for i, one := range wrongStreams {
		for place, k := range streamKinds {
			if one.kinds&k == 0 {
				continue
			}
			c, n := ruleConfig(i)
			want := c.streams(n)[place]
			where := "stream " + want.Name
			t.Run(fmt.Sprintf("%s %s %d", strings.TrimPrefix(want.Name, strings.ToUpper(string(n))), one.property, i), func(t *testing.T) {
				one.spoil(n, &want)
				makeStream(t, js, want)
				f := checkRule(t, nc, c, where, one.property, one.severity)
				hit[fmt.Sprint(k, one.property, one.severity, f.Why)] = true
			})
		}
	}
	for place, k := range streamKinds {
		c, n := ruleConfig(0)
		p, some := &plan{client: client{names: n}, config: &c}, &c.streams(n)[place]
		for _, r := range streamRules(p.stream(k, *some), some) {
			if r.of&k != 0 && r.property != "num_replicas" && !hit[fmt.Sprint(k, r.property, r.severity, r.why)] { // see TestCheckTellsReplicas
				t.Errorf("nothing that is wrong with stream %s is found by: %s, %s, %s", some.Name, r.property, r.severity, r.why)
			}
		}
	}
}

func TestConsumerRules(t *testing.T) {
	t.Parallel()
	nc, js := ruleServer(t)
	hit := map[string]bool{}
	for i, one := range wrongConsumers {
		t.Run(one.property, func(t *testing.T) {
			c, n := ruleConfig(i)
			stream, want := c.streams(n)[0], c.consumer(n, job.Normal)
			if one.property == "deliver_policy" || one.property == "ack_policy" {
				stream.Retention = jetstream.LimitsPolicy // a work queue has no such consumers
			}
			if one.property == "num_replicas" || strings.HasPrefix(one.property, "filter") {
				stream.Subjects = append(stream.Subjects, want.FilterSubject+".more")
			}
			one.spoil(&want)
			makeStream(t, js, stream)
			create := js.CreateConsumer
			if want.DeliverSubject != "" {
				create = func(ctx context.Context, stream string, c consumerConfig) (jetstream.Consumer, error) {
					_, err := js.CreatePushConsumer(ctx, stream, c)
					return nil, err
				}
			}
			if _, err := create(t.Context(), n.jobs(), want); err != nil {
				t.Fatal(err)
			}
			f := checkRule(t, nc, c, "consumer normal of stream "+n.jobs(), one.property, one.severity)
			hit[fmt.Sprint(one.property, one.severity, f.Why)] = true
		})
	}
	for _, r := range consumerRules(&part[consumerConfig]{kind: ofLane}, &consumerConfig{}) {
		if r.of&ofLane != 0 && !hit[fmt.Sprint(r.property, r.severity, r.why)] {
			t.Errorf("nothing that is wrong with a consumer is found by: %s, %s, %s", r.property, r.severity, r.why)
		}
	}
}

// ruleServer has a stream that stays: nats-server removes an account's directory when its
// last stream is deleted, now and then while the next stream is being made in there, which
// fails then.
func ruleServer(t *testing.T) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc := connect(t, servers.NATS(t))
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), streamConfig{Name: "OTHER"}); err != nil {
		t.Fatal(err)
	}
	return nc, js
}

func ruleConfig(i int) (Config, names) {
	c := config()
	c.Namespace, c.JobMemory = fmt.Sprintf("ns%d", i), 10*time.Minute
	c.DuplicateWindow = 2 * time.Minute
	return c, names(c.Namespace)
}

func makeStream(t *testing.T, js jetstream.JetStream, want streamConfig) {
	t.Helper()
	made := want
	made.Sealed = false
	if _, err := js.CreateStream(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	if want.Sealed {
		if _, err := js.UpdateStream(t.Context(), want); err != nil {
			t.Fatal(err)
		}
	}
}

// checkRule makes the rest of the namespace, which has something wrong at that place, and
// removes all of it in the end.
func checkRule(t *testing.T, nc *nats.Conn, c Config, where, property string, severity Severity) Finding {
	t.Helper()
	p, err := newPlan(nc, &c)
	if err != nil {
		t.Fatal(err)
	}
	defer removeAll(t, p)
	for _, one := range p.parts {
		_ = one.fill(t.Context()) // some streams that are wrong can have no consumers
	}
	before := configs(t, p)
	found, err := Check(t.Context(), nc, c)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if f.Severity != Missing && f.Has == f.Wanted {
			t.Errorf("nothing is wrong: %v", f)
		}
	}
	f := findingOf(found, where, property)
	if f.Severity != severity || f.Why == "" || f.Remedy == "" {
		t.Fatalf("found %+v among %v", f, found)
	}
	checkStart(t, nc, c, f, found)
	if after := configs(t, p); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	checkUpdate(t, nc, c, f)
	for _, one := range p.parts {
		switch one := one.(type) {
		case *part[streamConfig]:
			if one.where == where && f.Remedy == one.remake {
				checkFixed(t, one, property)
			}
		case *part[consumerConfig]:
			if one.where == where && f.Remedy == one.remake {
				checkFixed(t, one, property)
			}
		}
	}
	return f
}

// checkStart checks that neither setup nor a worker starts over a broken promise, and that
// a worker tells of a difference.
func checkStart(t *testing.T, nc *nats.Conn, c Config, f Finding, found []Finding) {
	t.Helper()
	var log bytes.Buffer
	c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	q, err := Open(t.Context(), nc, c)
	if err == nil {
		q.Close()
	}
	refused := refuse(found) != nil
	if errors.Is(err, ErrMismatch) != refused || !refused && err != nil {
		t.Errorf("open: %v", err)
	}
	if f.Severity == Breaks && !strings.Contains(err.Error(), f.String()) {
		t.Errorf("open does not say %q: %v", f, err)
	}
	if !refused && strings.Count(log.String(), "property="+f.Property+" ") != 1 {
		t.Errorf("it is not told:\n%s", &log)
	}
	if !slices.ContainsFunc(found, func(f Finding) bool { return f.Severity == Missing }) {
		if err := Setup(t.Context(), nc, c); errors.Is(err, ErrMismatch) != refused {
			t.Errorf("setup: %v", err)
		}
	}
}

func checkUpdate(t *testing.T, nc *nats.Conn, c Config, f Finding) {
	t.Helper()
	changed, err := Update(t.Context(), nc, c)
	found, checkErr := Check(t.Context(), nc, c)
	if checkErr != nil {
		t.Fatal(checkErr)
	}
	left := findingOf(found, f.Where, f.Property).Severity != ""
	if inPlace := f.Remedy == "relogin setup --update"; inPlace {
		if left || err != nil || findingOf(changed, f.Where, f.Property).Severity != Changed {
			t.Errorf("update: %v; changed %v; left %v", err, changed, found)
		}
		if refuse(found) != nil {
			t.Errorf("still refused: %v", found)
		}
	} else if !left {
		t.Errorf("it is changed, though only told: %s", f)
	}
}

// checkFixed checks that NATS refuses to change in place what has to be made again.
func checkFixed[C any](t *testing.T, p *part[C], property string) {
	t.Helper()
	have, err := p.read(t.Context())
	if err != nil || have == nil {
		t.Fatalf("have %v, %v", have, err)
	}
	field(have, property).Set(field(&p.want, property))
	if err := p.update(t.Context(), *have); err == nil {
		t.Errorf("%s can be changed in place", property)
	}
}

func findingOf(found []Finding, where, property string) Finding {
	i := slices.IndexFunc(found, func(f Finding) bool { return f.Where == where && f.Property == property })
	if i < 0 {
		return Finding{}
	}
	return found[i]
}

// configs returns how the streams and consumers are set up.
func configs(t *testing.T, p *plan) string {
	t.Helper()
	var all []any
	for _, name := range p.names.all() {
		have, err := p.readStream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, have)
	}
	for _, lane := range lanes {
		have, err := p.readConsumer(t.Context(), p.names.jobs(), string(lane))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, have)
	}
	text, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func removeAll(t *testing.T, p *plan) {
	t.Helper()
	for _, name := range p.names.all() {
		if err := p.js.DeleteStream(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
}
