package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/relogin/relogin/worker"
)

const (
	listAge     = 5 * time.Second  // how old a list may be
	listTimeout = 30 * time.Second // for reading one
	maxList     = 64 << 20         // bytes
)

// Online implements [worker.Gateway]. A tenant's list is at most five seconds old and was
// asked for after that time, and callers at the same time share one request. With [ReconcileAuto] a 404 switches the
// list off for the tenant until its address or credential changes. A refused
// credential is [worker.ErrRefused].
func (c *Client) Online(ctx context.Context, tenant, wcID string, after time.Time) (*worker.Login, error) {
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
	if wID := list[wcID]; wID != "" {
		return &worker.Login{WcID: wcID, WID: wID}, nil
	}
	return nil, nil
}

func (c *Client) fetchList(ctx context.Context, t *tenant) (map[string]string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, listTimeout, errors.New("the gateway took too long"))
	defer cancel()
	resp, err := c.post(ctx, &call{tenant: t, path: "/queryLoginWx", body: []byte("{}"), mayStart: func() error { return nil }})
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

// decodeList reads a list of at most limit bytes: the wId of each account.
func decodeList(r io.Reader, limit int64) (map[string]string, error) {
	limited := &io.LimitedReader{R: r, N: limit}
	list, code, err := readList(json.NewDecoder(limited))
	switch {
	case limited.N <= 0:
		return nil, fmt.Errorf("the list is over %d bytes", limit)
	case err != nil:
		return nil, err
	case code != codeOK:
		return nil, fmt.Errorf("the gateway answered code %q", cut(code, maxCodeBytes))
	}
	return list, nil
}

var errList = errors.New("the list is not an object with a code and a list under data")

func readList(d *json.Decoder) (list map[string]string, code string, err error) {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, "", errList
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, "", errList
		}
		switch key {
		case "code":
			var raw text
			if d.Decode(&raw) != nil {
				return nil, "", errList
			}
			code = plainNumber(string(raw))
		case "data":
			if list, err = readEntries(d); err != nil {
				return nil, "", err
			}
		default:
			if d.Decode(new(json.RawMessage)) != nil {
				return nil, "", errList
			}
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, "", errList
	}
	return list, code, nil
}

// readEntries reads the list itself; null is an empty one.
func readEntries(d *json.Decoder) (map[string]string, error) {
	list := map[string]string{}
	switch t, err := d.Token(); {
	case err == nil && t == nil:
		return list, nil
	case err != nil || t != json.Delim('['):
		return nil, errList
	}
	for d.More() {
		var entry struct {
			WcID text `json:"wcId"`
			WID  text `json:"wId"`
		}
		if err := d.Decode(&entry); err != nil {
			var wrongType *json.UnmarshalTypeError // not an object: none of ours
			if !errors.As(err, &wrongType) {
				return nil, errList
			}
		}
		if entry.WcID != "" && entry.WID != "" {
			list[string(entry.WcID)] = string(entry.WID)
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, errList
	}
	return list, nil
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
	return a != nil && a.err == nil && a.at.After(after) && time.Since(a.at) < listAge
}

// get returns the last list, or what fetch returns. One caller fetches, those who come
// meanwhile wait for its answer; when its own context ends, the next one fetches.
func (l *onlineList) get(ctx context.Context, after time.Time, fetch func(context.Context) (map[string]string, error)) (map[string]string, error) {
	before := l.last.Load()
	if before.fresh(after) {
		return before.list, nil
	}
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if now := l.last.Load(); now != before && now.at.After(after) {
		return now.list, now.err
	}
	asked := time.Now()
	list, err := fetch(ctx)
	if err == nil || ctx.Err() == nil {
		l.last.Store(&listAnswer{asked, list, err})
	}
	return list, err
}
