package queue

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// rule says what a property of a stream or consumer must be, or should be. It finds one that
// is not as it is wanted, where wrong is true. The first rule of a property that finds it counts.
type rule struct {
	of       kind   // those that it is about, or'ed
	property string // its name in NATS's JSON
	severity Severity
	wrong    bool
	remedy   string // how it is changed: one of the part's
	why      string // it matters
}

// kind is a bit for each kind of stream and consumer.
type kind int

const (
	ofJobs   kind = 1 << iota
	ofEvents      // the stream
	ofDead
	ofAudit
	ofRedis   // the bucket of the [IncarnationStore]
	ofControl // the bucket of [Control]
	ofLane    // a consumer of the jobs stream
	ofReader  // of the events stream: [Consume]'s

	ofMessages = ofJobs | ofEvents | ofDead | ofAudit
	ofBuckets  = ofRedis | ofControl
	ofAll      = ofMessages | ofBuckets
	ofKept     = ofAll &^ ofJobs // what stays after somebody has read it
)

// always is what wrong is for a property that must be as it is wanted.
const always = true

type (
	streamConfig   = jetstream.StreamConfig
	consumerConfig = jetstream.ConsumerConfig
)

// field returns the property of that name. It panics when there is none.
func field[C any](config *C, property string) reflect.Value {
	v := reflect.ValueOf(config).Elem()
	for i := range v.NumField() {
		if name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); name == property {
			return v.Field(i)
		}
	}
	panic("no property " + property)
}

// zeros are the units that add nothing, as in 24h0m0s.
var zeros = regexp.MustCompile(`([hm])(0[ms])+$`)

// show returns the property as it is printed.
func show[C any](config *C, property string) string {
	value := field(config, property).Interface()
	text := fmt.Sprint(value)
	if _, ok := value.(time.Duration); ok {
		text = zeros.ReplaceAllString(text, "$1")
	} else if data, err := json.Marshal(value); err == nil {
		text = strings.Trim(string(data), `"`)
	}
	switch text {
	case "", "null", "{}", "[]", "0s":
		return "none"
	case "-1":
		return "unlimited"
	}
	return text
}

const leastAckWait = time.Second

// consumerRules are about the two consumers of the jobs stream, and about that of [Consume].
func consumerRules(p *part[consumerConfig], have *consumerConfig) []rule {
	inPlace, remake, byHand := p.inPlace, p.remake, p.byHand
	who, what, one := "workers", "jobs", "a job"
	if p.kind == ofReader {
		who, what, one = "instances", "events", "an event"
	}
	paused := have.PauseUntil != nil && have.PauseUntil.After(time.Now())
	return []rule{
		{ofLane | ofReader, "deliver_subject", Breaks, always, remake, who + " can't ask it for " + what},
		{ofLane, "filter_subject", Breaks, always, inPlace, "jobs of the lane are not delivered, or another lane's are"},
		{ofLane, "filter_subjects", Breaks, always, inPlace, "jobs of the lane are not delivered, or another lane's are"},
		{ofReader, "filter_subject", Breaks, always, remake, "it delivers other events than those that were asked for"},
		{ofReader, "filter_subjects", Breaks, always, remake, "it delivers other events than those that were asked for"},
		{ofLane, "deliver_policy", Breaks, always, remake, "jobs that were there before it are never delivered"},
		{ofLane | ofReader, "ack_policy", Breaks, always, remake, one + " counts as done before it is"},
		{ofLane, "replay_policy", Breaks, always, remake, "jobs are delivered as slowly as they came"},
		{ofLane | ofReader, "mem_storage", Breaks, always, remake, "a restart of the server forgets which " + what + " were delivered before"},
		{ofLane | ofReader, "inactive_threshold", Breaks, always, inPlace, "it is deleted when no " + who + " run for so long, and forgets which " + what + " were delivered"},
		{ofLane | ofReader, "headers_only", Breaks, always, inPlace, what + " come without their bodies, and end as dead letters"},
		{ofLane | ofReader, "max_deliver", Breaks, always, inPlace, one + " that was delivered so often is passed over without a word"},
		{ofLane, "max_ack_pending", Breaks, always, inPlace, "once so many jobs wait for their accounts, no other account's is delivered"},
		{ofReader, "max_ack_pending", Differs, always, inPlace, "so many events may be in handlers or wait to be handled again, of all instances together"},
		{ofLane | ofReader, "backoff", Breaks, always, inPlace, "it stands in for the ack-wait, and distorts the delays of " + what + " that were handed back"},
		{ofLane | ofReader, "ack_wait", Breaks, have.AckWait < leastAckWait, inPlace, what + " come back while they are worked on"},
		{ofLane, "ack_wait", Differs, always, inPlace, "after this a dead pod's jobs come back"},
		{ofReader, "ack_wait", Differs, always, inPlace, "after this the events of an instance that died are delivered to others"},
		{ofLane | ofReader, "max_batch", Breaks, always, inPlace, who + " that ask for more " + what + " get none"},
		{ofLane | ofReader, "max_expires", Breaks, always, inPlace, who + " that wait longer for " + one + " get none"},
		{ofLane | ofReader, "max_bytes", Breaks, always, inPlace, who + " that ask for more bytes get none"},
		{ofLane | ofReader, "priority_policy", Breaks, always, inPlace, who + ", who name no group, get no " + what},
		{ofLane | ofReader, "priority_groups", Breaks, always, inPlace, who + ", who name no group, get no " + what},
		{ofLane, "priority_timeout", Breaks, always, inPlace, "workers, who name no group, get no jobs"},
		{ofLane, "max_waiting", Differs, always, remake, "so many requests for jobs can wait, of all pods together"},
		{ofLane, "num_replicas", Differs, always, inPlace, "its state is kept by so many servers; 0: as many as keep the stream"},
		{ofLane | ofReader, "pause_until", Differs, paused, byHand, "it delivers no " + what + " until then"},
	}
}
