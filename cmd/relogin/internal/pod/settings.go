package pod

import (
	"encoding/base64"
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/relogin/relogin/cmd/relogin/internal/backend"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/gateway"
	"github.com/relogin/relogin/worker/job"
)

// Settings are all that a pod is told.
type Settings struct {
	NATS     backend.NATS
	Streams  backend.Streams
	Redis    backend.Redis
	Gateway  GatewaySettings
	Pipeline PipelineSettings
	Output   OutputSettings
	Setup    SetupSettings
	Version  string // of the program; no setting
}

// GatewaySettings say how to reach the gateway, and as whom.
type GatewaySettings struct{ gateway.Options }

// Declare implements [settings.Group].
func (g *GatewaySettings) Declare(s *settings.Settings) {
	s.Section("Gateway")
	s.Add("gateway-url", settings.URL(&g.URL), "http://127.0.0.1:18081", "base address of the gateway, without /secondLogin")
	s.Add("gateway-authorization", settings.Secret(&g.Authorization), "", "credential, sent as it is in the Authorization header")
	s.Add("gateway-authorization-file", settings.File(&g.AuthorizationFile), "", "file that holds the credential; it is read again when it changes")
	s.Add("tenants-file", settings.File(&g.TenantsFile), "",
		"YAML file of tenants with their own url, and authorization or authorizationFile; it is read again when it changes")
	s.Add("gateway-reconcile", settings.Choice(&g.Reconcile, gateway.ReconcileAuto, gateway.ReconcileOn, gateway.ReconcileOff), "auto",
		"ask the gateway who is online when an answer got lost; auto stops at its first 404")
}

// Check implements [settings.Checker].
func (g *GatewaySettings) Check(s *settings.Settings) {
	s.Require(g.Authorization == "" || g.AuthorizationFile == "", "want only one of --gateway-authorization and --gateway-authorization-file",
		"gateway-authorization-file", "gateway-authorization")
}

// PipelineSettings are the rules that jobs are worked on by.
type PipelineSettings struct {
	worker.Options
	MinConfirmTime time.Duration
	DailyPrompts   int
	GatewayRate    float64
}

// Declare implements [settings.Group].
func (p *PipelineSettings) Declare(s *settings.Settings) {
	s.Section("Pipeline")
	s.Add("concurrency", settings.Int(&p.Concurrency, 1, 1_000_000), "2048", "confirmations that this pod holds open at once")
	s.Add("confirm-timeout", settings.Duration(&p.ConfirmTimeout, time.Second, time.Hour), "5m",
		"how long a prompt can live at the gateway, at most; an account stays locked for so long when its answer got lost")
	s.Add("send-window", settings.Duration(&p.SendWindow, 10*time.Millisecond, time.Minute), "2s",
		"how long after the lock was asked for the request may still be sent")
	s.Add("min-confirm-time", settings.Duration(&p.MinConfirmTime, 0, time.Hour), "20s",
		"with less left before its deadline a job ends as expired, without a prompt")
	s.Add("cooldown", settings.Duration(&p.Cooldown, 0, 365*settings.Day), "1m", "after failed, before the account's next prompt; 0 is off")
	s.Add("daily-prompts", settings.Int(&p.DailyPrompts, 0, 1_000_000), "0", "prompts that an account may get in 24 hours; 0 is off")
	s.Add("gateway-rate", settings.Rate(&p.GatewayRate, 1_000_000), "0", "prompts a second of each tenant, over all pods; 0 is off")
	s.Add("max-parked", settings.Int(&p.MaxParked, 0, 100_000_000), "", "jobs that may wait in memory for their accounts").Default = "16 × concurrency"
	s.Add("max-deliveries", settings.Int(&p.MaxDeliveries, 1, 1_000_000), "100", "tries at a job before it goes to the dead stream; deliveries that were handed back do not count")
	s.Add("shutdown-grace", settings.Duration(&p.ShutdownGrace, 0, settings.Day), "", "how long open confirmations may take to finish after SIGTERM").Default = "confirm-timeout + 30s"
	s.Add("pod", settings.Text(&p.Pod), "", "this worker's name in events").Default = "the host's name"
}

// Check implements [settings.Checker].
func (p *PipelineSettings) Check(s *settings.Settings) {
	s.Require(p.SendWindow < p.ConfirmTimeout, "want less than --confirm-timeout, "+settings.FormatDuration(p.ConfirmTimeout), "send-window", "confirm-timeout")
	if !s.IsSet("max-parked") {
		p.MaxParked = 16 * p.Concurrency
	}
	if !s.IsSet("shutdown-grace") {
		p.ShutdownGrace = p.ConfirmTimeout + 30*time.Second
	}
	if p.Pod == "" {
		var err error
		if p.Pod, err = os.Hostname(); err != nil {
			p.Pod = "relogin"
		}
	}
}

// EncodingSettings say how events are written.
type EncodingSettings struct{ EventEncoding job.Encoding }

// Declare implements [settings.Group].
func (e *EncodingSettings) Declare(s *settings.Settings) {
	s.Section("Output")
	s.Add("event-encoding", settings.Choice(&e.EventEncoding, job.EncodingMsgpack, job.EncodingJSON), "msgpack", "how events are written")
}

// OutputSettings are about what is published and shown.
type OutputSettings struct {
	EncodingSettings
	Protect  func(*job.Login) // hides a login's secrets
	HTTPAddr string           // empty: none
}

// Declare implements [settings.Group].
func (o *OutputSettings) Declare(s *settings.Settings) {
	o.EncodingSettings.Declare(s)
	s.Add("event-secrets", settings.NewValue(&o.Protect, "include|omit|seal:KEY", protector).ShowAs(showSecrets), "include",
		"a login's token and data in events: include or omit them, or seal them to a public xkey (nk -gen curve makes one)")
	DeclareHTTPAddr(s, &o.HTTPAddr)
}

// protector returns what a value of --event-secrets does to a login before anybody stores it.
// One that begins with seal: makes token and data seal:<public xkey of the sender>:<base64url>,
// which nkeys.KeyPair.Open undoes. The sender's key is new for each; what can't be sealed is
// left out.
func protector(text string) (func(*job.Login), error) {
	key, sealed := strings.CutPrefix(text, "seal:")
	switch {
	case sealed && nkeys.IsValidPublicCurveKey(key):
		return func(l *job.Login) { l.Token, l.Data = seal(l.Token, key), seal(l.Data, key) }, nil
	case sealed:
		return nil, errors.New("want seal: and a public xkey, which begins with X")
	case text == "omit":
		return func(l *job.Login) { l.Token, l.Data = "", "" }, nil
	case text != "include":
		return nil, errors.New("want include, omit or seal:<public xkey>")
	}
	return func(*job.Login) {}, nil
}

// showSecrets hides a key in an error: it may be the private one.
func showSecrets(text string) string {
	if strings.HasPrefix(text, "seal:") {
		text = "seal:(hidden)"
	}
	return strconv.Quote(text)
}

func seal(secret, recipient string) string {
	if secret == "" {
		return ""
	}
	sender, _ := nkeys.CreateCurveKeys() // it can't fail: without randomness Go ends the process
	defer sender.Wipe()
	public, _ := sender.PublicKey() // nor can this, of a new pair
	box, err := sender.Seal([]byte(secret), recipient)
	if err != nil {
		return ""
	}
	return "seal:" + public + ":" + base64.RawURLEncoding.EncodeToString(box)
}

// SetupSettings say whether a worker sets up the queue.
type SetupSettings struct{ Off bool }

// Declare implements [settings.Group].
func (o *SetupSettings) Declare(s *settings.Settings) {
	s.Section("Streams")
	s.Add("no-setup", settings.Bool(&o.Off), "false", "create no streams and consumers, only check them: relogin setup creates them")
}

// DeclareHTTPAddr declares --http-addr.
func DeclareHTTPAddr(s *settings.Settings, p *string) {
	s.Add("http-addr", settings.Address(p), "", "where /livez, /readyz and /metrics are served").Default = "not served"
}
