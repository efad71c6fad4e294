package queue

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/job"
)

// The streams of two namespaces that differ only in case have the same names, and their
// locks are other keys in Redis: two workers would prompt at the same time.
func TestOpenRefusesAnotherNamespace(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	open(t, nc, config())
	other := config()
	other.Namespace = "Relogin"
	q, err := Open(t.Context(), nc, other)
	if err == nil {
		q.Close()
	}
	if !errors.Is(err, ErrMismatch) {
		t.Errorf("a worker of another namespace serves these streams: %v", err)
	}
}

// What was seen: jobs were lost, and setup had said that all was well.
func TestSetupRefusesAStreamThatLosesJobs(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "RELOGIN_JOBS", Subjects: []string{"relogin.jobs.urgent", "relogin.jobs.normal"}, Retention: jetstream.WorkQueuePolicy,
		Storage: jetstream.MemoryStorage, MaxAge: 2 * time.Second, MaxMsgs: 5, Discard: jetstream.DiscardOld,
	}); err != nil {
		t.Fatal(err)
	}
	if err := Setup(t.Context(), nc, config()); !errors.Is(err, ErrMismatch) {
		t.Errorf("error %v", err)
	}
}

// Namespaces that differ in case alone share the names of their streams: the second one
// is refused, and changes nothing.
func TestNamespacesThatDifferInCase(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	first, second := config(), config()
	second.Namespace = "RELOGIN"
	if err := Setup(t.Context(), nc, first); err != nil {
		t.Fatal(err)
	}
	_, openErr := Open(t.Context(), nc, second)
	changed, updateErr := Update(t.Context(), nc, second)
	found, checkErr := Check(t.Context(), nc, second)
	if len(changed) > 0 || len(found) > 0 {
		t.Errorf("changed %v, found %v", changed, found)
	}
	for _, err := range []error{openErr, updateErr, checkErr, Setup(t.Context(), nc, second)} {
		if !errors.Is(err, ErrMismatch) {
			t.Errorf("error %v", err)
		}
	}
	q, err := Open(t.Context(), nc, first)
	if err != nil {
		t.Fatalf("the first one is not served any more: %v", err)
	}
	q.Close()
}

// Both may be set up at once, so that each makes a part: at most one is served.
func TestNamespacesThatDifferInCaseSetUpAtOnce(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	both := []Config{config(), config()}
	both[1].Namespace = "RELOGIN"
	var setups sync.WaitGroup
	for _, c := range both {
		setups.Go(func() { _ = Setup(t.Context(), nc, c) })
	}
	setups.Wait()
	served := 0
	for _, c := range both {
		q, err := Open(t.Context(), nc, c)
		switch {
		case err == nil:
			q.Close()
			served++
		case !errors.Is(err, ErrMismatch):
			t.Errorf("error %v", err)
		}
	}
	if served > 1 {
		t.Error("both are served")
	}
}

// Namespaces that differ otherwise share nothing.
func TestNamespacesShareNothing(t *testing.T) {
	seen := map[string]string{}
	for _, n := range []names{"a-b", "a_b", "ab", "a", "KV_a", "a_REDIS", "a_JOBS", "kv-a"} {
		c := Config{}
		for _, stream := range c.streams(n) {
			for _, name := range append(stream.Subjects, "stream "+stream.Name) {
				if other, ok := seen[name]; ok {
					t.Errorf("%s and %s share %s", n, other, name)
				}
				seen[name] = string(n)
			}
		}
	}
}

func TestCheckTellsWhatIsMissing(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	c := config()
	c.Flags = "--replicas 1"
	found, err := Check(t.Context(), nc, c)
	if err != nil || len(found) != 8 {
		t.Errorf("found %v, %v", found, err)
	}
	for _, f := range found {
		if f.Severity != Missing || f.Remedy != "relogin setup --replicas 1" || !strings.HasPrefix(f.String(), f.Where+" is not there.") {
			t.Errorf("found %v", f)
		}
	}
	if _, err := Open(t.Context(), nc, c); !errors.Is(err, ErrMismatch) || strings.Count(err.Error(), "is not there") != 8 {
		t.Errorf("open: %v", err)
	}
	if changed, err := Update(t.Context(), nc, c); err != nil || len(changed) > 0 {
		t.Errorf("update: %v, %v", changed, err)
	}
	open(t, nc, c)
	if found, err := Check(t.Context(), nc, c); err != nil || len(found) > 0 {
		t.Errorf("found %v, %v", found, err)
	}
}

// That more servers are wanted is told for each stream. Where they are, the streams grow:
// see test/deploy.
func TestCheckTellsReplicas(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	c := config()
	open(t, nc, c)
	c.Replicas = 3
	found, err := Check(t.Context(), nc, c)
	if err != nil || len(found) != 6 {
		t.Fatalf("found %v, %v", found, err)
	}
	for _, f := range found {
		if f.Severity != Differs || f.Property != "num_replicas" || f.Has != "1" || f.Wanted != "3" {
			t.Errorf("found %v", f)
		}
	}
	if changed, err := Update(t.Context(), nc, c); err == nil || strings.Count(err.Error(), "change stream") != 6 || len(changed) > 0 {
		t.Errorf("with one server: changed %v, %v", changed, err)
	}
}

// A user who may not ask is told everything that he lacks, at once.
func TestCheckNamesPermissions(t *testing.T) {
	servers.SkipIfShort(t, "it waits for requests that are not answered")
	s := servers.StartNATS(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "admin", Password: "p"}, {Username: "poor", Password: "p", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: []string{"$JS.API.STREAM.INFO.RELOGIN_EVENTS", "$JS.API.STREAM.INFO.KV_RELOGIN_REDIS", "$JS.API.STREAM.INFO.KV_RELOGIN_CONTROL", "$JS.API.CONSUMER.INFO.>"}}}}}
	})
	as := func(user string) *nats.Conn { return connect(t, strings.Replace(s.URL(), "//", "//"+user+":p@", 1)) }
	if err := Setup(t.Context(), as("admin"), config()); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), as("poor"), config())
	for _, lacks := range []string{"$JS.API.STREAM.INFO.RELOGIN_JOBS", "$JS.API.STREAM.INFO.RELOGIN_DEAD", "$JS.API.STREAM.INFO.RELOGIN_AUDIT"} {
		if err == nil || !strings.Contains(err.Error(), lacks) {
			t.Errorf("%s is not named: %v", lacks, err)
		}
	}
}

// What is advised for a stream that has to be made again loses nothing that it holds.
func TestStreamIsMadeAgain(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	c, n := config(), names("relogin")
	inMemory := c.streams(n)[0]
	inMemory.Storage = jetstream.MemoryStorage
	makeStream(t, js, inMemory)
	const jobs = 20
	for i := range jobs {
		publish(t, nc, job.Normal, job.Job{WcID: "a", ID: fmt.Sprint(i)})
	}
	holdsAll := func(stream string) {
		servers.Eventually(t, stream+" to hold all", func() bool {
			s, err := js.Stream(t.Context(), stream)
			return err == nil && s.CachedInfo().State.Msgs == jobs
		})
	}
	edit := func(stream string, how func(c *streamConfig)) {
		s, err := js.Stream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		edited := s.CachedInfo().Config
		how(&edited)
		if _, err := js.UpdateStream(t.Context(), edited); err != nil {
			t.Fatal(err)
		}
	}
	makeStream(t, js, streamConfig{Name: "RELOGIN_JOBS_COPY", Mirror: &jetstream.StreamSource{Name: "RELOGIN_JOBS"}})
	holdsAll("RELOGIN_JOBS_COPY")
	edit("RELOGIN_JOBS_COPY", func(c *streamConfig) { c.Mirror = nil })
	if err := js.DeleteStream(t.Context(), "RELOGIN_JOBS"); err != nil {
		t.Fatal(err)
	}
	if err := Setup(t.Context(), nc, c); err != nil {
		t.Fatal(err)
	}
	edit("RELOGIN_JOBS", func(c *streamConfig) { c.Sources = []*jetstream.StreamSource{{Name: "RELOGIN_JOBS_COPY"}} })
	holdsAll("RELOGIN_JOBS")
	if _, err := Update(t.Context(), nc, c); err != nil {
		t.Fatal(err)
	}
	q := open(t, nc, c)
	for range jobs {
		d := take(t, q, job.Normal, 1)[0]
		if d.MsgID == "" {
			t.Error("it has lost its id")
		}
		d.Ack()
	}
}
