package main

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/gateway"
)

// redisSettings say how to reach Redis.
type redisSettings struct {
	URL            string
	SentinelMaster string
}

func (r *redisSettings) declare(s *settings) {
	s.titled("Redis")
	s.add("redis-url", serverURLs(&r.URL, "redis", "rediss"), "redis://127.0.0.1:6379/0",
		"the server: redis://[user:password@]host:port/db, or rediss:// for TLS; several, comma-separated, are nodes of a Cluster").alsoFrom("REDIS_URL")
	s.add("redis-sentinel-master", text(&r.SentinelMaster), "",
		"name of the master; the servers of --redis-url are the sentinels then")
}

func (*redisSettings) check(*settings) {}

// gatewaySettings say how to reach the gateway, and as whom.
type gatewaySettings struct {
	URL               string
	Authorization     string
	AuthorizationFile string
	TenantsFile       string
	Reconcile         string
}

func (g *gatewaySettings) declare(s *settings) {
	s.titled("Gateway")
	s.add("gateway-url", plainURL(&g.URL), "http://127.0.0.1:18081", "base address of the gateway, without /secondLogin")
	s.add("gateway-authorization", secret(&g.Authorization), "", "credential, sent as it is in the Authorization header")
	s.add("gateway-authorization-file", file(&g.AuthorizationFile), "", "file that holds the credential; it is read again when it changes")
	s.add("tenants-file", file(&g.TenantsFile), "",
		"YAML file of tenants with their own url, and authorization or authorizationFile; it is read again when it changes")
	s.add("gateway-reconcile", choice(&g.Reconcile, gateway.ReconcileAuto, gateway.ReconcileOn, gateway.ReconcileOff), "auto",
		"ask the gateway who is online when an answer got lost; auto stops at its first 404")
}

func (g *gatewaySettings) check(s *settings) {
	s.require(g.Authorization == "" || g.AuthorizationFile == "", "want only one of --gateway-authorization and --gateway-authorization-file",
		"gateway-authorization-file", "gateway-authorization")
}

// pipelineSettings are the rules that jobs are worked on by.
type pipelineSettings struct {
	Concurrency    int
	MaxParked      int
	MaxDeliveries  int
	ConfirmTimeout time.Duration
	SendWindow     time.Duration
	MinConfirmTime time.Duration
	Cooldown       time.Duration
	DailyPrompts   int
	GatewayRate    float64
	ShutdownGrace  time.Duration
	Pod            string
}

func (p *pipelineSettings) declare(s *settings) {
	s.titled("Pipeline")
	s.add("concurrency", number(&p.Concurrency, 1, 1_000_000), "2048", "confirmations that this pod holds open at once")
	s.add("confirm-timeout", duration(&p.ConfirmTimeout, time.Second, time.Hour), "5m",
		"how long a prompt can live at the gateway, at most; an account stays locked for so long when its answer got lost")
	s.add("send-window", duration(&p.SendWindow, 10*time.Millisecond, time.Minute), "2s",
		"how long after the lock was asked for the request may still be sent")
	s.add("min-confirm-time", duration(&p.MinConfirmTime, 0, time.Hour), "20s",
		"with less left before its deadline a job ends as expired, without a prompt")
	s.add("cooldown", duration(&p.Cooldown, 0, 365*day), "1m", "after failed, before the account's next prompt; 0 is off")
	s.add("daily-prompts", number(&p.DailyPrompts, 0, 1_000_000), "0", "prompts that an account may get in 24 hours; 0 is off")
	s.add("gateway-rate", rate(&p.GatewayRate, 1_000_000), "0", "prompts a second of each tenant, over all pods; 0 is off")
	s.add("max-parked", number(&p.MaxParked, 0, 100_000_000), "", "jobs that may wait in memory for their accounts").fallsBackTo("16 × concurrency")
	s.add("max-deliveries", number(&p.MaxDeliveries, 1, 1_000_000), "100", "tries at a job before it goes to the dead stream; those that were only interrupted do not count")
	s.add("shutdown-grace", duration(&p.ShutdownGrace, 0, day), "", "how long open confirmations may take to finish after SIGTERM").fallsBackTo("confirm-timeout + 30s")
	s.add("pod", text(&p.Pod), "", "this worker's name in events").fallsBackTo("the host's name")
}

func (p *pipelineSettings) check(s *settings) {
	s.require(p.SendWindow < p.ConfirmTimeout, "want less than --confirm-timeout, "+formatDuration(p.ConfirmTimeout), "send-window", "confirm-timeout")
	if s.isMissing("max-parked") {
		p.MaxParked = 16 * p.Concurrency
	}
	if s.isMissing("shutdown-grace") {
		p.ShutdownGrace = p.ConfirmTimeout + 30*time.Second
	}
	if s.isMissing("pod") {
		var err error
		if p.Pod, err = os.Hostname(); err != nil {
			p.Pod = "relogin"
		}
	}
}

// outputSettings are about what is published and shown.
type outputSettings struct {
	EventEncoding worker.Encoding
	OmitSecrets   bool
	SealTo        string // public xkey; empty: secrets are not sealed
	HTTPAddr      string // empty: none
}

func (o *outputSettings) declare(s *settings) {
	s.titled("Output")
	s.add("event-encoding", choice(&o.EventEncoding, worker.EncodingMsgpack, worker.EncodingJSON), "msgpack", "how events are written")
	s.add("event-secrets", o.secretsValue(), "include",
		"a login's token and data in events: include or omit them, or seal them to a public xkey (nk -gen curve makes one)")
	declareHTTPAddr(s, &o.HTTPAddr)
}

func (*outputSettings) check(*settings) {}

func (o *outputSettings) secretsValue() value {
	v := newValue("include|omit|seal:KEY", o.setSecrets)
	v.shown = func(text string) string {
		if strings.HasPrefix(text, "seal:") {
			text = "seal:(hidden)" // it may be the private key
		}
		return strconv.Quote(text)
	}
	return v
}

func (o *outputSettings) setSecrets(text string) error {
	key, seal := strings.CutPrefix(text, "seal:")
	switch {
	case seal && nkeys.IsValidPublicCurveKey(key):
		o.SealTo = key
	case seal:
		return errors.New("want seal: and a public xkey, which begins with X")
	case text == "omit":
		o.OmitSecrets = true
	case text != "include":
		return errors.New("want include, omit or seal:<public xkey>")
	}
	return nil
}

func declareHTTPAddr(s *settings, p *string) {
	s.add("http-addr", address(p), "", "where /livez, /readyz and /metrics are served").fallsBackTo("not served")
}
