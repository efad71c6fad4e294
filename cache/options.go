package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Options says which Redis to use, and the rules. What has no default is required.
type Options struct {
	// URL is redis://[user:password@]host:port/db, or rediss:// for TLS. Several,
	// comma-separated, are the nodes of a Cluster, or the sentinels where
	// SentinelMaster is set; a comma in a password is written %2C. User, password,
	// database and the query's options are those of the first: skip_verify,
	// client_name, pool_size, sentinel_username, sentinel_password.
	URL            string
	SentinelMaster string
	Namespace      string // prefix of the keys; default relogin
	Pod            string // shown in the server's CLIENT LIST

	SendWindow     time.Duration // how long after Begin the request may still be sent
	ConfirmTimeout time.Duration // how long a prompt lives, at most
	MinConfirmTime time.Duration // less left before a deadline: TooLate
	JobMemory      time.Duration // how long an ended job's tombstone is kept; 0: not at all
	EventMaxAge    time.Duration // how long an open or ended job's record is kept; default 7 days
	DailyPrompts   int           // prompts of an account in 24 hours; 0: no limit
	GatewayRate    float64       // prompts a second of a tenant, over all pods; 0: no limit
	Timeout        time.Duration // of one pipeline; default 3 s

	Incarnations IncarnationStore // nil: every server is trusted
	Logger       *slog.Logger     // default slog.Default()

	cutOff, watchEvery time.Duration // less in tests
}

// poolSize is the connections to one server: more than there are flushers.
const poolSize = 8

var urlOptions = []string{"skip_verify", "client_name", "pool_size", "sentinel_username", "sentinel_password"}

// check fills in the defaults and returns every error in the options.
func (o *Options) check() error {
	o.Namespace = cmp.Or(o.Namespace, "relogin")
	o.EventMaxAge = cmp.Or(o.EventMaxAge, 7*24*time.Hour)
	o.Timeout = cmp.Or(o.Timeout, 3*time.Second)
	o.Logger = cmp.Or(o.Logger, slog.Default())
	o.cutOff = cmp.Or(o.cutOff, cutOff)
	o.watchEvery = cmp.Or(o.watchEvery, watchEvery)
	var errs []error
	refuse := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	refuse(strings.ContainsAny(o.Namespace, "{}"), "namespace %q: braces are not allowed", o.Namespace)
	refuse(o.SendWindow <= 0, "send window %v: must be positive", o.SendWindow)
	refuse(o.ConfirmTimeout <= 0, "confirm time-out %v: must be positive", o.ConfirmTimeout)
	refuse(o.MinConfirmTime < 0, "minimal confirm time %v: must not be negative", o.MinConfirmTime)
	refuse(o.JobMemory < 0, "job memory %v: must not be negative", o.JobMemory)
	refuse(o.EventMaxAge < o.Lease(), "event age %v: must not be less than the lease, %v", o.EventMaxAge, o.Lease())
	refuse(o.DailyPrompts < 0, "daily prompts %d: must not be negative", o.DailyPrompts)
	refuse(!(o.GatewayRate >= 0 && o.GatewayRate <= 1e6), "gateway rate %v: must be between 0 and 1000000", o.GatewayRate)
	refuse(o.Timeout < 0, "time-out %v: must be positive", o.Timeout)
	return errors.Join(errs...)
}

// Lease returns how long a lock lives: as long as a prompt that is sent at the last
// moment of the send window can be open, and 1 s + 1 % for clocks that differ in rate.
func (o *Options) Lease() time.Duration {
	d := o.SendWindow + o.ConfirmTimeout
	return (d + d/100 + time.Second).Round(time.Millisecond)
}

// universal turns the URL into go-redis's options. Retries are off: they would repeat
// whole pipelines.
func (o *Options) universal() (*redis.UniversalOptions, error) {
	u := &redis.UniversalOptions{
		MasterName: o.SentinelMaster, MaxRetries: -1, DialerRetries: 1,
		DialTimeout: o.Timeout, ReadTimeout: o.Timeout, WriteTimeout: o.Timeout, PoolTimeout: o.Timeout,
		ContextTimeoutEnabled: true,
		PipelinePoolSize:      -1, // pipelines are all there is: one pool
		ReadBufferSize:        redis.DefaultPipelineBufferSize, WriteBufferSize: redis.DefaultPipelineBufferSize,
		// A node of a Cluster that was demoted and promoted again keeps its idle
		// connections: look at every server again now and then.
		ConnMaxLifetime: time.Minute, ConnMaxLifetimeJitter: 10 * time.Second,
		Protocol:                 2, // no pushes between the replies
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	for s := range strings.SplitSeq(o.URL, ",") {
		s = strings.TrimSpace(s)
		if len(u.Addrs) > 0 && !strings.Contains(s, "://") {
			s = "redis://" + s
		}
		if err := addURL(u, s); err != nil {
			return nil, err
		}
	}
	if u.TLSConfig != nil && (len(u.Addrs) > 1 || u.MasterName != "") {
		u.TLSConfig.ServerName = "" // each server's own, and the master's is not the sentinel's
	}
	u.PoolSize = cmp.Or(u.PoolSize, poolSize)
	u.ClientName = cmp.Or(u.ClientName, clientName(o.Namespace+"/"+o.Pod))
	if u.DB != 0 && len(u.Addrs) > 1 && u.MasterName == "" {
		return nil, fmt.Errorf("redis url: a Cluster has database 0 alone, not %d", u.DB)
	}
	return u, nil
}

// addURL adds the URL's address, and of the first URL all that it says.
func addURL(to *redis.UniversalOptions, s string) error {
	u, err := url.Parse(s)
	if err != nil {
		// The parser's error repeats the text, and with it a password.
		return errors.New("redis url: not a URL: want redis://[user:password@]host:port/db")
	}
	query := u.Query()
	for option := range query {
		if !slices.Contains(urlOptions, option) {
			return fmt.Errorf("redis url: unknown option %q: allowed are %s", option, strings.Join(urlOptions, ", "))
		}
	}
	name, password := query.Get("sentinel_username"), query.Get("sentinel_password")
	query.Del("sentinel_username")
	query.Del("sentinel_password")
	u.RawQuery = query.Encode()
	one, err := redis.ParseURL(u.String())
	if err != nil {
		return fmt.Errorf("redis url %s: %w", u.Redacted(), err)
	}
	if to.Addrs == nil {
		to.Username, to.Password, to.DB, to.TLSConfig = one.Username, one.Password, one.DB, one.TLSConfig
		to.ClientName, to.PoolSize = one.ClientName, one.PoolSize
		to.SentinelUsername, to.SentinelPassword = name, password
	}
	to.Addrs = append(to.Addrs, one.Addr)
	return nil
}

// redacted returns the URLs as they may be logged.
func redacted(urls string) string {
	var shown []string
	for s := range strings.SplitSeq(urls, ",") {
		if u, err := url.Parse(strings.TrimSpace(s)); err == nil {
			u.RawQuery = ""
			shown = append(shown, u.Redacted())
		}
	}
	return strings.Join(shown, ",")
}

// clientName returns a name that CLIENT SETNAME takes: printable, without spaces.
func clientName(name string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, strings.Trim(name, "/"))
}

// redisLogger takes go-redis's own lines, which are process-wide: what matters in them is
// in an error too, so they are for debugging.
type redisLogger struct{ *slog.Logger }

func (l redisLogger) Printf(ctx context.Context, format string, v ...any) {
	l.DebugContext(ctx, "go-redis: "+fmt.Sprintf(format, v...))
}
