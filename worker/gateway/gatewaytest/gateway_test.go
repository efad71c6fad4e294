package gatewaytest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// ask makes a request without a network, so that it can be made in a synctest bubble.
func ask(ctx context.Context, g *Gateway, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, path, strings.NewReader(body))
	g.ServeHTTP(w, r)
	return w
}

func login(ctx context.Context, g *Gateway, wcID string) *httptest.ResponseRecorder {
	return ask(ctx, g, "/secondLogin", fmt.Sprintf(`{"wcId":%q,"type":2}`, wcID))
}

func TestAnswers(t *testing.T) {
	tests := []struct {
		wcID   string
		after  time.Duration
		answer Answer
		want   string // in the reply
	}{
		{"confirm-1", 10 * time.Second, Confirm, `"wId":"fake`},
		{"wxid_1", 10 * time.Second, Confirm, `"token":"FAKE-TOKEN`},
		{"decline-1", 10 * time.Second, Decline, `{"message":"失败","code":"1001","data":null}`},
		{"ignore-1", 5 * time.Minute, Ignore, `{"message":"失败","code":"1001","data":null}`},
		{"scan-1", 10 * time.Second, Scan, `{"message":"二次登录失败，请重新扫码登录","code":"1001"`},
		{"nested-1", 10 * time.Second, Scan, `{"message":"成功","code":"1000","data":{"message":"二次登录失败，请重新扫码登录"`},
	}
	for _, tt := range tests {
		t.Run(tt.wcID, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := New(Options{ConfirmAfter: 10 * time.Second})
				defer g.Close()
				start := time.Now()
				w := login(t.Context(), g, tt.wcID)
				if got := time.Since(start); got != tt.after {
					t.Errorf("replied after %v, want %v", got, tt.after)
				}
				if !strings.Contains(w.Body.String(), tt.want) {
					t.Errorf("reply %s, want %s in it", w.Body, tt.want)
				}
				p := g.Prompts()
				if len(p) != 1 || p[0].Answer != tt.answer || p[0].End.Sub(p[0].Start) != tt.after {
					t.Errorf("prompts %+v", p)
				}
				if online := g.Account(tt.wcID).WID != ""; online != (tt.answer == Confirm) {
					t.Errorf("online is %v", online)
				}
			})
		})
	}
}

func TestFaults(t *testing.T) {
	tests := []struct {
		wcID    string
		status  int
		prompts int
	}{
		{"unauthorized-1", 401, 0},
		{"busy-1", 503, 0},
		{"error-1", 500, 1},
		{"garbage-1", 200, 1},
		{"empty-1", 200, 1},
		{"huge-1", 200, 1},
		{"redirect-1", 307, 1},
	}
	for _, tt := range tests {
		t.Run(tt.wcID, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := New(Options{ConfirmAfter: time.Minute})
				defer g.Close()
				w := login(t.Context(), g, tt.wcID)
				if w.Code != tt.status {
					t.Errorf("status %d, want %d", w.Code, tt.status)
				}
				if s := g.Stats(); s.Prompts != tt.prompts || s.Open != tt.prompts {
					t.Errorf("%d prompts, %d open, want %d", s.Prompts, s.Open, tt.prompts)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if online := g.Account(tt.wcID).WID != ""; online != (tt.prompts == 1) {
					t.Errorf("online is %v a minute later", online)
				}
			})
		})
	}
}

func TestPromptOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Options{ConfirmAfter: time.Minute})
		defer g.Close()
		for _, wcID := range []string{"a", "hang-a"} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			login(ctx, g, wcID)
			cancel()
			if a := g.Account(wcID); a.Open != 1 {
				t.Fatalf("%s: %+v after the caller left", wcID, a)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, wcID := range []string{"a", "hang-a"} {
			if a := g.Account(wcID); a.Open != 0 || a.WID == "" {
				t.Errorf("%s: %+v after a minute", wcID, a)
			}
		}
	})
}

func TestOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Options{ConfirmAfter: 10 * time.Second, KeepPrompts: 2})
		defer g.Close()
		var calls sync.WaitGroup
		for i, wcID := range []string{"a", "b", "a", "a"} { // the third overlaps, the fourth does not
			if i == 3 {
				time.Sleep(20 * time.Second)
			}
			calls.Go(func() { login(t.Context(), g, wcID) })
			synctest.Wait()
		}
		calls.Wait()
		want := Stats{
			Requests: 4, Prompts: 4, MaxOpen: 3, MaxOpenPerAccount: 2, Overlaps: 1,
			Overlapping: []string{"a"}, Accounts: 2, Online: 2, Answers: map[Answer]int{Confirm: 4},
		}
		if got := g.Stats(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("stats\n%+v, want\n%+v", got, want)
		}
		p := g.Prompts()
		if len(p) != 2 || p[0].WcID != "a" || p[1].WcID != "a" || p[1].Start.Sub(p[0].Start) != 20*time.Second || p[1].End.IsZero() {
			t.Errorf("the last two prompts are %+v", p)
		}
	})
}

func TestManual(t *testing.T) {
	g := New(Options{})
	defer g.Close()
	g.Set("a", Behaviour{Manual: true})
	if g.Answer("a", Confirm) || g.Answer("b", Confirm) {
		t.Fatal("answered a prompt that is not open")
	}
	var w *httptest.ResponseRecorder
	var call sync.WaitGroup
	call.Go(func() { w = login(t.Context(), g, "a") })
	if err := g.WaitOpen(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if !g.Answer("a", Decline) {
		t.Fatal("no prompt is open")
	}
	call.Wait()
	if !strings.Contains(w.Body.String(), "1001") {
		t.Errorf("reply %s", w.Body)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.WaitOpen(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("WaitOpen without a prompt: %v", err)
	}
}

func TestAdmission(t *testing.T) {
	var g *Gateway
	status := func() [2]int {
		return [2]int{login(t.Context(), g, "a").Code, ask(t.Context(), g, "/queryLoginWx", "{}").Code}
	}
	g = New(Options{Authorization: "secret"})
	defer g.Close()
	if got := status(); got != [2]int{401, 401} {
		t.Errorf("wrong credential: %v", got)
	}
	g = New(Options{})
	defer g.Close()
	if got := status(); got != [2]int{200, 200} {
		t.Errorf("no credential: %v", got)
	}
	g.SetDown(503)
	if got := status(); got != [2]int{503, 503} {
		t.Errorf("down: %v", got)
	}
	g.SetDown(0)
	if got := ask(t.Context(), g, "/secondLogin", "[]").Code; got != 400 {
		t.Errorf("no object: %d", got)
	}
	if got := g.Stats().Prompts; got != 1 {
		t.Errorf("%d prompts, want 1", got)
	}
}

func TestOnlineList(t *testing.T) {
	g := New(Options{})
	defer g.Close()
	login(t.Context(), g, "a")
	first := g.Account("a").WID
	login(t.Context(), g, "a")
	login(t.Context(), g, "decline-b")
	second := g.Account("a").WID
	if first == "" || first == second {
		t.Errorf("wId %q, then %q", first, second)
	}
	want := `{"message":"成功","code":"1000","data":[{"wcId":"a","wId":"` + second + `"}]}`
	if got := strings.TrimSpace(ask(t.Context(), g, "/queryLoginWx", "{}").Body.String()); got != want {
		t.Errorf("list %s, want %s", got, want)
	}
	none := New(Options{NoList: true})
	defer none.Close()
	if got := ask(t.Context(), none, "/queryLoginWx", "{}").Code; got != 404 {
		t.Errorf("without a list: %d", got)
	}
}

func TestManyOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const accounts = 5_000
		g := New(Options{ConfirmAfter: time.Minute, Jitter: time.Minute})
		defer g.Close()
		var calls sync.WaitGroup
		for i := range accounts {
			calls.Go(func() { login(t.Context(), g, fmt.Sprintf("wxid_%d", i)) })
		}
		calls.Wait()
		s := g.Stats()
		if s.Prompts != accounts || s.MaxOpen != accounts || s.MaxOpenPerAccount != 1 || s.Online != accounts {
			t.Errorf("stats %+v", s)
		}
	})
}
