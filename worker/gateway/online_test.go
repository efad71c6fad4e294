package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

func TestOnline(t *testing.T) {
	gw := newGateway(t, gatewaytest.Options{Authorization: secret})
	c := newClient(t, Options{URL: gw.URL, Authorization: secret})
	if _, err := c.SecondLogin(t.Context(), testJob("a"), always); err != nil {
		t.Fatal(err)
	}
	got, err := c.Online(t.Context(), "default", "a", time.Time{})
	if want := (job.Login{WcID: "a", WID: gw.Account("a").WID}); err != nil || *got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if got, err := c.Online(t.Context(), "default", "b", time.Time{}); err != worker.ErrNotOnline {
		t.Errorf("not online: %+v, %v", got, err)
	}
	if _, err := c.Online(t.Context(), "nobody", "a", time.Time{}); !errors.Is(err, worker.ErrUnknownTenant) {
		t.Errorf("unknown tenant: %v", err)
	}
	wrong := newClient(t, Options{URL: gw.URL})
	if _, err := wrong.Online(t.Context(), "default", "a", time.Time{}); !errors.Is(err, worker.ErrRefused) {
		t.Errorf("wrong credential: %v", err)
	}
}

func TestReconcileModes(t *testing.T) {
	tests := []struct {
		mode     string
		noList   bool
		requests int64 // for two calls
	}{
		{ReconcileAuto, true, 1},
		{ReconcileOn, false, 2},
		{ReconcileOff, true, 0},
	}
	for _, tt := range tests {
		t.Run(tt.mode, func(t *testing.T) {
			var requests atomic.Int64
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				http.NotFound(w, r)
			}))
			defer s.Close()
			var log bytes.Buffer
			c := newClient(t, Options{URL: s.URL, Reconcile: tt.mode, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			for range 2 {
				if _, err := c.Online(t.Context(), "default", "a", time.Time{}); err == nil || errors.Is(err, worker.ErrNoList) != tt.noList {
					t.Errorf("got %v", err)
				}
			}
			if n := requests.Load(); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
			if n := strings.Count(log.String(), "\n"); n > 1 {
				t.Errorf("logged %d times", n)
			}
		})
	}
}

func TestDecodeList(t *testing.T) {
	captured, err := os.ReadFile(filepath.Join("testdata", "replies", "query-online.json"))
	if err != nil {
		t.Fatal(err)
	}
	good := map[string]string{
		string(captured): "map[wxid_wl9qchkanu22:00000170-7a73-4d24-0010-3e5f2a8f7be0]",
		`{"data":[{"wcId":"a","wId":7,"x":[]},{"wcId":"b"},{"wId":"c"},5,null],"more":{},"code":1000.0}`: "map[a:7]",
		`{"code":"1000","data":null}`: "map[]",
		`{"code":"1000","data":[]}`:   "map[]",
		`{"code":"1000"}`:             "map[]",
	}
	for body, want := range good {
		if got, err := decodeList(strings.NewReader(body), 1000); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s: got %v, %v", body, got, err)
		}
	}
	bad := []string{
		``, `[]`, `null`, `<html>`, `{"code":"1001","data":[]}`, `{"data":[]}`, `{"code":1000,"data":{}}`, `{"code":1000,"data":"x"}`,
		`{"code":1000,"data":[{"wcId":"a","wId":"b"}`, `{"code":1000,"data":[{"wcId":`, `{"code":1000,"data":[]`,
		`{"code":1000,"data":[` + strings.Repeat(" ", 1000) + `]}`,
	}
	for _, body := range bad {
		if got, err := decodeList(strings.NewReader(body), 1000); err == nil {
			t.Errorf("%.60s: got %v", body, got)
		}
	}
}

func TestOnlineListIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := newOnlineList()
		var fetches atomic.Int64
		get := func(ctx context.Context) (map[string]string, error) {
			return list.get(ctx, time.Time{}, func(ctx context.Context) (map[string]string, error) {
				n := fetches.Add(1)
				select {
				case <-time.After(time.Second):
					return map[string]string{"n": fmt.Sprint(n)}, nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			})
		}
		var calls sync.WaitGroup
		impatient, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		calls.Go(func() {
			if _, err := get(impatient); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the impatient caller got %v", err)
			}
		})
		synctest.Wait()
		for range 100 {
			calls.Go(func() {
				if got, err := get(t.Context()); err != nil || got["n"] != "2" {
					t.Errorf("got %v, %v", got, err)
				}
			})
		}
		calls.Wait()
		time.Sleep(listAge - time.Second - time.Nanosecond) // it counts from when the list was asked for
		if got, _ := get(t.Context()); got["n"] != "2" {
			t.Errorf("got %v within the list's age", got)
		}
		time.Sleep(time.Nanosecond)
		if got, _ := get(t.Context()); got["n"] != "3" {
			t.Errorf("got %v after the list's age", got)
		}
	})
}

func TestOnlineListErrorsAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := newOnlineList()
		down := errors.New("down")
		fetches := 0
		get := func() error {
			_, err := list.get(t.Context(), time.Time{}, func(context.Context) (map[string]string, error) {
				fetches++
				time.Sleep(time.Second)
				return nil, down
			})
			return err
		}
		var calls sync.WaitGroup
		for range 10 {
			calls.Go(func() {
				if err := get(); !errors.Is(err, down) {
					t.Errorf("got %v", err)
				}
			})
		}
		calls.Wait()
		if fetches != 1 {
			t.Errorf("%d fetches for callers at the same time", fetches)
		}
		if _ = get(); fetches != 2 {
			t.Errorf("%d fetches: the error was kept", fetches)
		}
	})
}

// What was asked for before a prompt says nothing of it.
func TestOnlineIsYoungerThanAsked(t *testing.T) {
	gw := gatewaytest.NewServer(gatewaytest.Options{})
	defer gw.Close()
	c, err := New(Options{URL: gw.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	job := &job.Job{WcID: "a", Tenant: "default", Type: 2}
	if _, err := c.SecondLogin(t.Context(), job, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	first, err := c.Online(t.Context(), "default", "a", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.SecondLogin(t.Context(), job, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	prompted := time.Now()
	if cached, err := c.Online(t.Context(), "default", "a", time.Time{}); err != nil || cached.WID != first.WID {
		t.Errorf("the list was not kept: %v, %v", cached, err)
	}
	if got, err := c.Online(t.Context(), "default", "a", prompted); err != nil || got.WID == first.WID {
		t.Errorf("a list from before the prompt was shown: %v, %v", got, err)
	}
}
