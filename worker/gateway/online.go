package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/gateway/postonce"
	"github.com/relogin/relogin/worker/job"
)

const (
	listAge     = 5 * time.Second  // how old a list may be
	listTimeout = 30 * time.Second // for reading one

	largeListAge = time.Minute // for how long a list counts as too large: reading one is expensive
)

// Online implements [worker.Gateway]. A tenant's list is at most five seconds old, and
// callers at the same time share one request. With [ReconcileAuto] a 404 switches the list
// off for the tenant until its address or credential changes. A refused credential is
// [worker.ErrRefused]. A list that is too large is an error for a minute; an account whose
// wcId or wId is too long for an event counts as not listed.
func (c *Client) Online(ctx context.Context, tenant, wcID string, after time.Time) (*job.Login, error) {
	t, err := c.tenant(tenant)
	if err != nil {
		return nil, err
	}
	if c.options.Reconcile == ReconcileOff || t.noList.Load() {
		return nil, worker.ErrNoList
	}
	list, err := t.online.get(ctx, after, func(ctx context.Context) (map[string]string, error) {
		return c.fetchList(ctx, t)
	})
	if err != nil {
		return nil, fmt.Errorf("read online list: %w", err)
	}
	wID := list[wcID]
	if wID == "" {
		return nil, worker.ErrNotOnline
	}
	return &job.Login{WcID: wcID, WID: wID}, nil
}

func (c *Client) fetchList(ctx context.Context, t *tenant) (map[string]string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, listTimeout, errors.New("the gateway took too long"))
	defer cancel()
	resp, _, err := c.http.Post(ctx, &postonce.Call{Endpoint: t.queryLogin, Body: []byte("{}"), BeforeSend: func() error { return nil }})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch code := resp.StatusCode; {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return nil, fmt.Errorf("%w: HTTP %d", worker.ErrRefused, code)
	case code == http.StatusNotFound && c.options.Reconcile == ReconcileAuto:
		if !t.noList.Swap(true) {
			c.log.WarnContext(ctx, "the gateway has no online list: what a lost reply said can't be learned", "tenant", t.name)
		}
		return nil, worker.ErrNoList
	case code/100 != 2:
		return nil, fmt.Errorf("HTTP %d, %s", code, contentType(resp))
	}
	return decodeList(resp.Body, maxList)
}

// onlineList keeps the last list of a tenant.
type onlineList struct {
	turn chan struct{} // holds one: whoever fetches
	last atomic.Pointer[listAnswer]
}

type listAnswer struct {
	at   time.Time // when it was asked for
	list map[string]string
	err  error
}

func newOnlineList() onlineList { return onlineList{turn: make(chan struct{}, 1)} }

func (a *listAnswer) fresh(after time.Time) bool {
	switch {
	case a == nil:
		return false
	case errors.Is(a.err, errLargeList):
		return time.Since(a.at) < largeListAge
	}
	return a.err == nil && a.at.After(after) && time.Since(a.at) < listAge
}

// get returns the last list, or what fetch returns. One caller fetches, those who come
// meanwhile wait for its answer; when its own context ends, the next one fetches.
func (l *onlineList) get(ctx context.Context, after time.Time, fetch func(context.Context) (map[string]string, error)) (map[string]string, error) {
	before := l.last.Load()
	if before.fresh(after) {
		return before.list, before.err
	}
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if now := l.last.Load(); now != before && (now.at.After(after) || now.fresh(after)) {
		return now.list, now.err
	}
	asked := time.Now()
	list, err := fetch(ctx)
	if err == nil || ctx.Err() == nil {
		l.last.Store(&listAnswer{asked, list, err})
	}
	return list, err
}
