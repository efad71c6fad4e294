package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/synadia-io/orbit.go/natscontext"
)

const (
	dialTimeout   = 5 * time.Second
	reconnectWait = 500 * time.Millisecond
	pingInterval  = 15 * time.Second // two unanswered pings end the connection
)

// Options says how to reach NATS. The zero value of a field is the default of nats.go.
type Options struct {
	URL         string // nats://, tls:// or ws://; several, comma-separated, are one cluster
	Creds       string // file with a user's JWT and seed
	NKey        string // file with a user's seed
	CA          string // PEM file that the server's certificate is checked with
	Cert, Key   string // PEM files of a client certificate
	InboxPrefix string
	Context     string // of the nats command line, by name or path; URL is not used then, what else is set goes before it
	Name        string // shown in the server's list of connections
	Logger      *slog.Logger
}

// Connect returns a connection that reconnects for ever. It blocks while the server
// can't be reached, and logs now and then what it waits for. An error is returned when
// ctx ends, and at once when waiting does not help: wrong credentials, a refused
// certificate, a file that can't be read. What is published while the connection is
// lost fails at once: a publish that went out minutes later could be a second one.
// The caller closes or drains the connection.
func Connect(ctx context.Context, o Options) (*nats.Conn, error) {
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	options, err := o.natsOptions()
	if err != nil {
		return nil, fmt.Errorf("connect to nats: %w", err)
	}
	where, dial := redacted(o.URL), func() (*nats.Conn, error) { return nats.Connect(o.URL, options...) }
	if name := o.Context; name != "" {
		if strings.ContainsRune(name, filepath.Separator) {
			if name, err = filepath.Abs(name); err != nil { // which is how natscontext tells paths
				return nil, fmt.Errorf("connect to nats: %w", err)
			}
		}
		where, dial = "the server of context "+o.Context, func() (*nats.Conn, error) {
			nc, _, err := natscontext.Connect(name, options...)
			return nc, err
		}
	}
	var waiting seldom
	for {
		nc, err := dial()
		switch {
		case err == nil:
			return nc, nil
		case hopeless(err):
			return nil, fmt.Errorf("connect to nats at %s: %w", where, err)
		}
		if _, ok := waiting.write(""); ok {
			o.Logger.WarnContext(ctx, "waiting for nats", "url", where, "error", err)
		}
		select {
		case <-time.After(reconnectWait):
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to nats at %s: %w: %w", where, context.Cause(ctx), err)
		}
	}
}

func (o *Options) natsOptions() ([]nats.Option, error) {
	options := []nats.Option{
		nats.Name(o.Name), nats.Timeout(dialTimeout), nats.SetCustomDialer(&coalescingDialer{net.Dialer{Timeout: dialTimeout}}), nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(2),
		nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(reconnectWait, reconnectWait),
		nats.ReconnectBufSize(-1), nats.IgnoreAuthErrorAbort(),
	}
	options = append(options, (&notices{log: o.Logger}).options()...)
	addIf := func(set string, option nats.Option) {
		if set != "" {
			options = append(options, option)
		}
	}
	addIf(o.Creds, nats.UserCredentials(o.Creds))
	addIf(o.CA, nats.RootCAs(o.CA))
	addIf(o.Cert+o.Key, nats.ClientCert(o.Cert, o.Key))
	addIf(o.InboxPrefix, nats.CustomInboxPrefix(o.InboxPrefix))
	if o.NKey != "" {
		option, err := nats.NkeyOptionFromSeed(o.NKey)
		if err != nil {
			return nil, fmt.Errorf("read nkey seed %s: %w", o.NKey, err)
		}
		options = append(options, option)
	}
	return options, nil
}

// hopeless tells errors that waiting does not cure: all but those of the network and of
// a server that starts, stops or is full.
func hopeless(err error) bool {
	_, file := errors.AsType[*fs.PathError](err) // is an error of the network too, as a TLS alert is
	wire, lost := errors.AsType[*net.OpError](err)
	if file || lost && (wire.Op == "remote error" || wire.Op == "local error") {
		return true
	}
	_, network := errors.AsType[net.Error](err)
	return !network && !isAny(err, nats.ErrNoServers, nats.ErrTimeout, nats.ErrNoInfoReceived, nats.ErrStaleConnection,
		nats.ErrMaxConnectionsExceeded, nats.ErrConnectionClosed, nats.ErrDisconnected, io.EOF)
}

// credentials are what a URL says before its host: a token stands where the user does.
var credentials = regexp.MustCompile(`(^|,)(\s*\w+://)?[^,]*@`)

// redacted returns the URLs without their credentials.
func redacted(urls string) string { return credentials.ReplaceAllString(urls, "${1}${2}xxxxx@") }
