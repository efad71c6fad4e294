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
	ofBucket
	ofLane   // a consumer of the jobs stream
	ofReader // of the events stream: [Consume]'s

	ofMessages = ofJobs | ofEvents | ofDead
	ofAll      = ofMessages | ofBucket
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
