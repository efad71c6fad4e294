package queue

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// rule says what a property of a stream or consumer must be, or should be. The first rule
// of a property that finds it wrong counts.
type rule[C any] struct {
	property string // its name in NATS's JSON
	severity Severity
	wrong    func(c *Config, have, want *C) bool // nil: when it is not what is wanted
	remedy   remedy
	why      string // it matters
}

// remedy is how a property is changed.
type remedy int

const (
	inPlace remedy = iota // by [Update]
	remake                // NATS can't change it: what has it is deleted and made again
	promote               // by hand: it may be a standby
	resume                // by hand: somebody has set it on purpose
	rename                // it is somebody else's: another namespace must be chosen
)

type (
	streamConfig   = jetstream.StreamConfig
	consumerConfig = jetstream.ConsumerConfig
)

// judge returns what is wrong with have, and have with all that NATS can change in place
// as it is wanted.
func judge[C any](c *Config, rules []rule[C], have, want *C) (found []rule[C], mended C) {
	mended = *have
	judged := map[string]bool{}
	for _, r := range rules {
		if judged[r.property] || !r.finds(c, have, want) {
			continue
		}
		judged[r.property] = true
		found = append(found, r)
		if r.remedy == inPlace {
			field(&mended, r.property).Set(field(want, r.property))
		}
	}
	return found, mended
}

func (r rule[C]) finds(c *Config, have, want *C) bool {
	if r.wrong != nil {
		return r.wrong(c, have, want)
	}
	return show(have, r.property) != show(want, r.property)
}

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

// show returns the property as it is printed.
func show[C any](config *C, property string) string {
	value := field(config, property).Interface()
	if d, ok := value.(time.Duration); ok {
		return showDuration(d)
	}
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	switch text := strings.Trim(string(data), `"`); text {
	case "", "null", "{}", "[]":
		return "none"
	case "-1":
		return "unlimited"
	default:
		return text
	}
}

func showDuration(d time.Duration) string {
	if d == 0 {
		return "none"
	}
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}
