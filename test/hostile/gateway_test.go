//go:build linux

package hostile

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

// gatewayCases are about what a tenant's gateway answers, and about one account at the
// neighbours' gateway.
func gatewayCases() []hostileCase {
	return slices.Concat(lostAnswers(), refusedCalls(), oneAccount(), largeAnswers())
}

// lostAnswers leave it open whether a prompt was made. Once ten answers in a row are lost the
// gateway's breaker opens: the jobs that wait then are asked when the gateway works again.
func lostAnswers() (all []hostileCase) {
	for _, c := range []struct {
		name, what string
		short      bool
		answer     http.HandlerFunc
	}{
		{"answers-500", "A tenant's gateway answers 500 to everything.", false, status(http.StatusInternalServerError)},
		{"answers-404", "A tenant's gateway answers 404 to everything.", false, status(http.StatusNotFound)},
		{"answers-html", "A tenant's gateway answers with a page of HTML.", false, html},
		{"redirects", "A tenant's gateway redirects to itself.", false, redirect},
		{"closes", "A tenant's gateway closes each connection without an answer.", false, closes},
		{"resets", "A tenant's gateway resets each connection.", false, resets},
		{"hangs", "A tenant's gateway never answers.", false, hangs},
	} {
		all = append(all, hostileCase{
			name: c.name, what: c.what, short: c.short,
			run: func(a *attack) {
				defer a.answersAt(a.there, true, c.answer)()
				a.flood(min(100, scaled(500)), func(i int) {
					j := a.job(a.account(i))
					j.Tenant = a.tenant
					a.send(j, endsAs(job.Unknown, job.Succeeded))
				})
				a.settled()
				if !servers.Poll(a.lease()+30*time.Second, func() bool { return a.ended(job.Unknown) >= 10 }) {
					a.fails("%d jobs ended as unknown while the gateway lost every answer, want ten at the least", a.ended(job.Unknown))
				}
				if n := a.ended(job.Succeeded); n > 0 {
					a.fails("%d jobs succeeded while the gateway lost every answer", n)
				}
			},
		})
	}
	return all
}

// refusedCalls say that no prompt was made: the jobs try again until their deadline.
func refusedCalls() (all []hostileCase) {
	for _, c := range []struct {
		name, what string
		answer     http.HandlerFunc
	}{
		{"answers-503", "A tenant's gateway answers 503 to everything.", status(http.StatusServiceUnavailable)},
		{"answers-429", "A tenant's gateway answers 429 to everything.", status(http.StatusTooManyRequests)},
		{"listens-not", "A tenant's gateway can't be connected to.", nil},
	} {
		all = append(all, hostileCase{
			name: c.name, what: c.what,
			run: func(a *attack) {
				if c.answer == nil {
					a.there.server.CloseClientConnections()
					a.there.server.Close()
				} else {
					defer a.answersAt(a.there, true, c.answer)()
				}
				a.flood(scaled(2000), func(i int) {
					job := a.job(a.account(i))
					job.Tenant, job.Deadline = a.tenant, time.Now().Add(6*time.Second)
					a.send(job, expires)
				})
				a.settled()
				a.pause(6 * time.Second)
			},
		})
	}
	return all
}

// oneAccount misbehaves at the gateway of the neighbours.
func oneAccount() []hostileCase {
	forbidden := func(name, what string, short bool, accounts int) hostileCase {
		return hostileCase{name: name, what: what, short: short, run: func(a *attack) {
			defer a.answersAt(a.here, false, status(http.StatusForbidden))()
			a.floodAt(50, scaled(300), func(i int) {
				j := a.job(a.account(i % accounts))
				j.Deadline = time.Now().Add(4 * time.Second)
				a.send(j, endsAs(job.Unauthorized, job.Expired)) // one whose turn for the account did not come was not refused
			})
			a.settled()
			a.pause(4 * time.Second)
		}}
	}
	return []hostileCase{
		forbidden("one-forbidden", "The neighbours' gateway answers 403 for one account.", true, 1),
		forbidden("some-forbidden", "The neighbours' gateway answers 403 for ten accounts.", false, 10),
		{
			name: "lost-replies", what: "The neighbours' gateway loses the replies of 50 accounts that confirm.",
			run: func(a *attack) {
				faults := []gatewaytest.Fault{gatewaytest.Reset, gatewaytest.Half, gatewaytest.Garbage, gatewaytest.Empty, gatewaytest.ServerError, gatewaytest.Huge}
				for i := range 50 {
					a.gateway.Set(a.account(i), gatewaytest.Behaviour{Fault: faults[i%len(faults)]})
					a.send(a.job(a.account(i)), endsAs(job.Succeeded, job.Unknown))
				}
				a.settled()
				a.pause(a.lease())
			},
		},
		{
			name: "trickles", what: "The neighbours' gateway sends the replies of 100 accounts a byte at a time.",
			run: func(a *attack) {
				defer a.here.with(func(w http.ResponseWriter, r *http.Request, wcID string) bool {
					if !a.mine(wcID) {
						return false
					}
					r.Body = io.NopCloser(strings.NewReader(fmt.Sprintf(`{"wcId":%q}`, wcID)))
					a.gateway.ServeHTTP(trickle{w, r}, r)
					return true
				})()
				for i := range min(100, scaled(500)) {
					a.send(a.job(a.account(i)), endsAs(job.Succeeded, job.Unknown))
				}
				a.settled()
				a.pause(a.lease() + 2*time.Second)
			},
		},
	}
}

// largeAnswers are about the size of what a gateway answers.
func largeAnswers() []hostileCase {
	return []hostileCase{
		{
			name: "large-data", what: "A login's data has 1 MB, and 3,000 jobs share it.", alone: true, short: true,
			setting: setting{confirmTimeout: 30 * time.Second, patience: 90 * time.Second},
			run: func(a *attack) {
				a.crowdWith(a.account(0), scaled(3000), gatewaytest.Behaviour{Manual: true, DataBytes: 1 << 20}, succeeds)
				a.settled()
				a.pause(2 * time.Second)
				a.tap(a.account(0))
			},
		},
		{
			name: "large-replies", what: "500 accounts' logins have 1 MB of data each.",
			run: func(a *attack) {
				a.floodAt(50, scaled(500), func(i int) {
					a.gateway.Set(a.account(i), gatewaytest.Behaviour{DataBytes: 1 << 20})
					a.send(a.job(a.account(i)), succeeds)
				})
			},
		},
		listCase("huge-list", "A tenant's online list has 64 MB, and its replies are lost.", func(w http.ResponseWriter, _ *http.Request) { hugeList(w) }),
		listCase("hanging-list", "A tenant's online list never comes, and its replies are lost.", hangs),
	}
}

// listCase has a tenant's accounts confirm, the replies lost, and its list misbehave.
func listCase(name, what string, list http.HandlerFunc) hostileCase {
	return hostileCase{name: name, what: what, run: func(a *attack) {
		defer a.there.with(func(w http.ResponseWriter, r *http.Request, wcID string) bool {
			if wcID == "" {
				list(w, r)
			}
			return wcID == ""
		})()
		for i := range 15 { // the breaker opens after ten, and each later trial costs an answer
			a.gateway.Set(a.account(i), gatewaytest.Behaviour{Fault: gatewaytest.Reset})
			j := a.job(a.account(i))
			j.Tenant = a.tenant
			a.send(j, endsAs(job.Succeeded, job.Unknown))
		}
		a.settled()
		a.pause(a.lease() + 2*time.Second)
	}}
}

// hugeList writes a list that is just below 64 MiB.
func hugeList(w io.Writer) {
	out := bufio.NewWriter(w)
	defer out.Flush()
	fmt.Fprint(out, `{"message":"ok","code":"1000","data":[`)
	for n, i := 40, 0; n < 63<<20; i++ {
		written, err := fmt.Fprintf(out, `{"wcId":"somebody_%012d","wId":"fake0000-%016x"},`, i, i)
		if err != nil {
			return
		}
		n += written
	}
	fmt.Fprint(out, `{"wcId":"the-last","wId":"w"}]}`)
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, http.StatusText(code), code) }
}

func html(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, "<html><body>"+strings.Repeat("<p>Welcome</p>", 1000)+"</body></html>")
}

func redirect(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
}

func closes(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func resets(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func hangs(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// trickle writes a byte every 50 ms until the caller is gone.
type trickle struct {
	http.ResponseWriter
	r *http.Request
}

func (t trickle) Write(text []byte) (int, error) {
	for i := range text {
		select {
		case <-t.r.Context().Done():
			return i, t.r.Context().Err()
		case <-time.After(50 * time.Millisecond):
		}
		if _, err := t.ResponseWriter.Write(text[i : i+1]); err != nil {
			return i, err
		}
		_ = http.NewResponseController(t.ResponseWriter).Flush()
	}
	return len(text), nil
}
