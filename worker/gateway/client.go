package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/gateway/postonce"
)

// ErrAmbiguous is returned when a prompt may be open and its answer is not known.
// The text says what was seen: the status, the content type, at most a few words of a
// reply that is not JSON.
var ErrAmbiguous = errors.New("the gateway may have made the prompt, its answer is not known")

// Values of [Options].Reconcile.
const (
	ReconcileAuto = "auto" // ask for the online list until the gateway answers 404
	ReconcileOn   = "on"   // ask always
	ReconcileOff  = "off"  // never ask
)

// Options say where the gateway is.
type Options struct {
	URL               string // base address; may have a path; no user, query or fragment
	Authorization     string // the credential, sent as it is; empty: none is sent
	AuthorizationFile string // or the file that holds it; the newline at its end is cut off
	TenantsFile       string // tenants with their own address and credential; empty: none
	Reconcile         string // ReconcileAuto unless set
	MaxConns          int    // idle connections kept per gateway; the calls at once, say; net/http's default unless set
	Logger            *slog.Logger
}

// Format writes the options without the credential, whatever the verb.
func (o Options) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "gateway.Options{tenants file %q, authorization file %q, reconcile %q}",
		o.TenantsFile, o.AuthorizationFile, o.Reconcile)
}

// LogValue is what Format writes: the credential is not shown.
func (o Options) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(o)) }

// Client calls the gateways of all tenants. It is safe for concurrent use.
type Client struct {
	options  Options
	log      *slog.Logger
	http     *postonce.Client
	settings atomic.Pointer[settings]
}

var _ worker.Gateway = (*Client)(nil)

// New reads the files that options name and returns the client. It connects to nothing.
// Its error joins everything that is wrong, by tenant and key. The caller calls
// [Client.Close].
func New(options Options) (*Client, error) {
	if options.Reconcile == "" {
		options.Reconcile = ReconcileAuto
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	read, err := readSettings(options)
	if !slices.Contains([]string{ReconcileAuto, ReconcileOn, ReconcileOff}, options.Reconcile) {
		err = errors.Join(err, fmt.Errorf("reconcile: %q is none of auto, on, off", options.Reconcile))
	}
	if err != nil {
		return nil, fmt.Errorf("read gateway settings: %w", err)
	}
	c := &Client{options: options, log: options.Logger, http: postonce.NewClient(options.MaxConns)}
	c.settings.Store(read)
	return c, nil
}

// Close closes the connections that no call uses, as [postonce.Client.Close] does.
func (c *Client) Close() { c.http.Close() }

// Format names the client, and no credential, whatever the verb.
func (c *Client) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "gateway.Client{%d tenants}", c.Tenants())
}

// Access implements [worker.Gateway]. The fingerprint is the same in every process
// that has the same settings, and tells nothing about them.
func (c *Client) Access(tenant string) (worker.Access, error) {
	t, err := c.tenant(tenant)
	if err != nil {
		return worker.Access{}, err
	}
	return worker.Access{Address: t.url, Fingerprint: t.fingerprint}, nil
}

// Addresses implements [worker.Gateway]: sorted, each once. The caller may keep it, but
// not change it.
func (c *Client) Addresses() []string { return c.settings.Load().addresses }

// Tenants implements [worker.Gateway].
func (c *Client) Tenants() int { return len(c.settings.Load().tenants) }

// TenantNames returns the names of those that are configured, sorted.
func (c *Client) TenantNames() []string { return slices.Sorted(maps.Keys(c.settings.Load().tenants)) }

func (c *Client) tenant(name string) (*tenant, error) {
	t, ok := c.settings.Load().tenants[name]
	if !ok {
		return nil, fmt.Errorf("%w: %q", worker.ErrUnknownTenant, name)
	}
	return t, nil
}
