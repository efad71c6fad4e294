package queue

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/job"
)

// A follower that has seen nothing yet must not skip what was stored while it was cut off.
func TestFollowFromNowAcrossARestart(t *testing.T) {
	s := servers.StartNATS(t, nil)
	open(t, connect(t, s.URL()), config())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ready := make(chan struct{})
	var following sync.WaitGroup
	following.Go(func() {
		o := FollowOptions{Namespace: "relogin", Ready: func() { close(ready) }}
		err := Follow(ctx, connect(t, s.URL()), o, func(e *job.Event) error {
			if e.ID != "1" {
				t.Errorf("event %s", e.ID)
			}
			return errEnd
		})
		if !errors.Is(err, errEnd) {
			t.Errorf("follow: %v", err)
		}
	})
	<-ready
	s.Stop()
	s.Start()
	q, err := Open(t.Context(), connect(t, s.URL()), config()) // is there before the follower is back
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	servers.Eventually(t, "the event to be stored", func() bool { return q.Publish(t.Context(), event("a", "1", job.Failed)) == nil })
	following.Wait()
}

// The last of an account's jobs leaves those that wait while the next one joins them.
func TestWatchersOverlap(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	leave, err := q.Watch(t.Context(), "a", func() {}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	woken := make(chan struct{}, 10)
	stop, err := q.Watch(t.Context(), "a", func() { woken <- struct{}{} }, func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	leave()
	if err := q.Publish(t.Context(), event("a", "1", job.Failed)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-woken:
	case <-time.After(20 * time.Second):
		t.Error("the wake-up was lost")
	}
}

// A job that is on its way when Take's context ends is returned, not left to AckWait.
func TestTakeLosesNothing(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	c := config()
	c.AckWait = time.Hour
	q := open(t, nc, c)
	for i := range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		var publishing sync.WaitGroup
		publishing.Go(func() {
			publish(t, nc, job.Normal, job.Job{WcID: "a"})
			cancel()
		})
		taken, _, err := q.Take(ctx, job.Normal, 1+i%2*4, time.Minute)
		publishing.Wait()
		if err != nil {
			t.Fatal(err)
		}
		if len(taken) == 0 {
			taken = take(t, q, job.Normal, 1)
		}
		taken[0].Ack()
	}
}

func TestTakeWithoutServerLeavesNothingBehind(t *testing.T) {
	s := servers.StartNATS(t, nil)
	nc := connect(t, s.URL())
	q := open(t, nc, config())
	before := nc.NumSubscriptions()
	s.Stop()
	servers.Eventually(t, "the loss to be noticed", func() bool { return nc.Status() == nats.RECONNECTING })
	for range 10 {
		if _, _, err := q.Take(t.Context(), job.Normal, 5, time.Second); err == nil {
			t.Error("took without a server")
		}
	}
	if after := nc.NumSubscriptions(); after != before {
		t.Errorf("%d subscriptions before, %d after", before, after)
	}
}

// An idle worker notices at once that its request is gone with the server.
func TestTakeEndsWithTheConnection(t *testing.T) {
	s := servers.StartNATS(t, nil)
	nc := connect(t, s.URL())
	q := open(t, nc, config())
	var taking sync.WaitGroup
	taking.Go(func() {
		if _, _, err := q.Take(t.Context(), job.Normal, 1, time.Hour); err == nil {
			t.Error("no error") // the server's good-bye, or the connection's end
		}
	})
	servers.Eventually(t, "the request to wait", func() bool {
		info, err := q.consumers[job.Normal].Info(t.Context())
		return err == nil && info.NumWaiting == 1
	})
	s.Stop()
	taking.Wait()
}

func TestTakeNamesWhatIsGone(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	if err := q.js.DeleteConsumer(t.Context(), "RELOGIN_JOBS", "normal"); err != nil {
		t.Fatal(err)
	}
	_, _, err := q.Take(t.Context(), job.Normal, 1, time.Second)
	if !errors.Is(err, nats.ErrNoResponders) || !strings.Contains(err.Error(), "setup") {
		t.Errorf("error %v", err)
	}
}

func TestRefusalIsNamed(t *testing.T) {
	servers.SkipIfShort(t, "it waits for requests that are not answered")
	s := servers.StartNATS(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "admin", Password: "p"}, {Username: "poor", Password: "p", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: []string{"$JS.API.STREAM.INFO.>", "$JS.API.CONSUMER.INFO.>"}}}}}
	})
	as := func(user string) *nats.Conn { return connect(t, strings.Replace(s.URL(), "//", "//"+user+":p@", 1)) }
	if err := Setup(t.Context(), as("admin"), config()); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), as("poor"), config())
	if !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), "$JS.API.CONSUMER.MSG.NEXT.RELOGIN_JOBS.") {
		t.Errorf("open: %v", err)
	}
}

// Whatever somebody sends comes out as it is, and can be buried.
func TestOddJobs(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	for _, msg := range []*nats.Msg{
		{}, {Header: nats.Header{"Status": {"404"}}}, {Header: nats.Header{"Status": {"408"}, "Description": {"Requests Pending"}}},
		{Data: []byte{0}}, {Data: []byte("+ACK")}, {Data: make([]byte, 512<<10), Header: nats.Header{"X": {"a", "b"}}},
	} {
		msg.Subject = "relogin.jobs.normal"
		if _, err := q.js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
		d := take(t, q, job.Normal, 2)[0]
		if string(d.Data) != string(msg.Data) || d.Attempts != 1 {
			t.Errorf("%d bytes came as %d, delivery %d", len(msg.Data), len(d.Data), d.Attempts)
		}
		if err := q.Bury(t.Context(), d, "odd"); err != nil {
			t.Error(err)
		}
		d.Term()
	}
	servers.Eventually(t, "the jobs to leave", func() bool { return stored(t, q) == 0 })
}

// authority writes a certificate that is its own authority, for the server and its clients.
func authority(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	public, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", public), write("key.pem", "PRIVATE KEY", secret)
}

// What waiting does not cure must be said at once.
func TestConnectSaysWhatIsWrongWithTLS(t *testing.T) {
	cert, key := authority(t)
	stranger, _ := authority(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config, err := server.GenTLSConfig(&server.TLSConfigOpts{CertFile: cert, KeyFile: key, CaFile: cert, Verify: true})
		if err != nil {
			t.Fatal(err)
		}
		config.MaxVersion = version
		s := servers.StartNATS(t, func(o *server.Options) { o.TLS, o.TLSVerify, o.TLSConfig, o.TLSTimeout = true, true, config, 20 })
		for _, test := range []struct {
			name string
			Options
			good bool
		}{
			{"all right", Options{CA: cert, Cert: cert, Key: key}, true},
			{"another authority", Options{CA: stranger, Cert: cert, Key: key}, false},
			{"no client certificate", Options{CA: cert}, false},
			{"no such file", Options{CA: filepath.Join(t.TempDir(), "none")}, false},
		} {
			t.Run(fmt.Sprintf("%s %s", tls.VersionName(version), test.name), func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				test.URL = s.URL()
				nc, err := Connect(ctx, test.Options)
				if nc != nil {
					nc.Close()
				}
				if test.good != (err == nil) || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error %v", err)
				}
			})
		}
	}
}

func TestConnectByContext(t *testing.T) {
	s := servers.StartNATS(t, func(o *server.Options) { o.Username, o.Password = "u", "p" })
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	path := filepath.Join(dir, "nats", "context", "mine.json")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, `{"url":%q,"user":"u","password":"p"}`, s.URL()), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, name := range []string{"mine", path, filepath.Join("nats", "context", "mine.json")} {
		nc, err := Connect(t.Context(), Options{Context: name, URL: "nats://127.0.0.1:1"})
		if err != nil {
			t.Errorf("context %s: %v", name, err)
			continue
		}
		nc.Close()
	}
	if _, err := Connect(t.Context(), Options{Context: "none"}); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("error %v", err)
	}
}

// Three servers, three replicas, and pods that all set up at once.
func TestCluster(t *testing.T) {
	nodes := servers.StartNATSCluster(t, nil)
	c := config()
	c.Replicas, c.AckWait = 3, 5*time.Second
	first := connect(t, nodes[0].URL()+","+nodes[1].URL()+","+nodes[2].URL())
	servers.Eventually(t, "the cluster to have a leader", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return Setup(ctx, first, Config{Namespace: "warm", Replicas: 3, AckWait: time.Second, EventMaxAge: time.Hour, DeadMaxAge: time.Hour}) == nil
	})
	var pods sync.WaitGroup
	for i := range 9 {
		pods.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := Setup(ctx, connect(t, nodes[i%3].URL()), c); err != nil {
				t.Error(err)
			}
		})
	}
	pods.Wait()
	q := open(t, first, c)
	publish(t, first, job.Normal, job.Job{WcID: "a", ID: "1"})
	d := take(t, q, job.Normal, 5)[0]
	e := event("a", "1", job.Succeeded)
	servers.Eventually(t, "the event to be stored", func() bool { return q.Publish(t.Context(), e) == nil })
	servers.Eventually(t, "the event to be found", func() bool {
		found, err := q.Published(t.Context(), "a", "1", d.StoredAt)
		return found && err == nil
	})
	d.Ack()
	servers.Eventually(t, "the job to leave", func() bool { return stored(t, q) == 0 })
}
