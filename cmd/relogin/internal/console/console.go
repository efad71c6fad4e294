// Package console is the web console: it shows operators what pods, NATS and Redis tell, and pauses,
// resumes, replays and drops for those who may. It keeps nothing of its own but the last readings,
// which all who look share.
package console

import (
	"context"
	"embed"
	"html/template"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/securecookie"

	"github.com/relogin/relogin/cmd/relogin/internal/cockpit"
	"github.com/relogin/relogin/queue"
)

//go:embed templates static
var files embed.FS

// Options are what [New] needs.
type Options struct {
	Sources *cockpit.Sources // with Redis
	Audit   *queue.Audit
	Users   Users  // none: everybody is an operator, and only requests to this machine's own names are answered
	Secret  string // signs sessions; empty: a random one, so that sessions end with the process
	By      string // who does things, where there are no users
	Log     *slog.Logger
}

// source is what is read for each page. [cockpit.Sources] is it.
type source interface {
	Overview(ctx context.Context) (*cockpit.Overview, error)
	Account(ctx context.Context, wcID string) (*cockpit.Account, error)
	Job(ctx context.Context, a *cockpit.Account, id string) (*cockpit.Job, error)
}

// Console serves the pages. It is safe for concurrent use.
type Console struct {
	Options
	source    source
	pages     map[string]*template.Template
	cookies   *securecookie.SecureCookie
	attempts  *attempts
	searches  chan struct{} // one element for each account that is being looked for
	overview  *shared[*cockpit.Overview]
	dead      *shared[*deadIndex]
	trail     *shared[[]queue.AuditEntry]
	readings  *background
	bulk      bulkRun
	protected *http.CrossOriginProtection
}

// How often the servers are asked at most, while somebody looks.
const (
	overviewEvery = 2 * time.Second
	deadEvery     = 10 * time.Second
	shownAudit    = 200
	maxSearches   = 2 // of accounts at a time: each may read the whole queue
)

// New returns a console. The caller calls Close when no request is under way any more.
func New(o Options) (*Console, error) {
	pages, err := parsePages()
	if err != nil {
		return nil, err
	}
	c := &Console{
		Options: o, source: o.Sources, pages: pages, cookies: newCookies(o.Secret), attempts: newAttempts(),
		searches: make(chan struct{}, maxSearches), readings: newBackground(), protected: http.NewCrossOriginProtection(),
	}
	c.overview = newShared(c.readings, always(overviewEvery), func(ctx context.Context) (*cockpit.Overview, error) { return c.source.Overview(ctx) })
	c.dead = newShared(c.readings, deadPause, c.readDead)
	c.trail = newShared(c.readings, always(overviewEvery), func(ctx context.Context) ([]queue.AuditEntry, error) { return o.Audit.Last(ctx, shownAudit) })
	return c, nil
}

// Close ends the readings that are under way, and waits for them.
func (c *Console) Close() { c.readings.close() }

// background are readings that no single request owns.
type background struct {
	ctx  context.Context
	stop context.CancelFunc

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

func newBackground() *background {
	ctx, stop := context.WithCancel(context.Background())
	return &background{ctx: ctx, stop: stop}
}

// start runs do in a goroutine, unless all is closed.
func (b *background) start(do func(context.Context)) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.running.Go(func() { do(b.ctx) })
	return true
}

func (b *background) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.stop()
	b.running.Wait()
}
