package deploy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"

	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

// deployment is all of deploy/, started, and a gateway that is reached by https.
type deployment struct {
	ca         *authority
	nats       *natsCluster
	redis      *redisSet
	gateway    *gatewaytest.Gateway
	gatewayURL string
}

func startDeployment(t *testing.T) *deployment {
	t.Helper()
	ca := newAuthority(t)
	d := &deployment{ca: ca, redis: startRedis(t, ca), nats: startNATS(t, ca)}
	d.redis.await()
	d.gateway, d.gatewayURL = startGateway(t, ca)
	d.setUp(t)
	return d
}

// setUp has the streams kept by one server first, and then grow, as an operator does who
// has forgotten --replicas.
func (d *deployment) setUp(t *testing.T) {
	t.Helper()
	operator, wanted := d.nats.env("OPERATOR"), []string{"--replicas", "3", "--ack-wait", "2s"}
	mustRun(t, operator, "setup", "--ack-wait", "2s")
	status, stdout, stderr := run(t, operator, append([]string{"setup", "--check"}, wanted...)...)
	if status != 1 || strings.Count(stdout, "has num_replicas 1, wanted is 3") != 6 {
		t.Errorf("exit status %d: %s%s", status, stdout, stderr)
	}
	mustRun(t, operator, append([]string{"setup", "--update"}, wanted...)...)
	mustRun(t, operator, append([]string{"setup", "--check"}, wanted...)...)
}

// startGateway starts a gateway that is reached by https.
func startGateway(t *testing.T, ca *authority) (g *gatewaytest.Gateway, url string) {
	t.Helper()
	g = gatewaytest.New(gatewaytest.Options{})
	https := httptest.NewUnstartedServer(g)
	https.Config.ErrorLog = log.New(io.Discard, "", 0)
	https.TLS = &tls.Config{Certificates: []tls.Certificate{ca.server().load(t)}, MinVersion: tls.VersionTLS12}
	https.StartTLS()
	t.Cleanup(func() { g.Close(); https.Close() })
	return g, https.URL
}

// workerEnv returns a worker's settings.
func (d *deployment) workerEnv() []string {
	return slices.Concat(d.nats.env("WORKER"), d.redis.env(), []string{
		"RELOGIN_GATEWAY_URL=" + d.gatewayURL, "RELOGIN_CONFIRM_TIMEOUT=2s", "RELOGIN_SEND_WINDOW=1s",
		"RELOGIN_MIN_CONFIRM_TIME=1s", "RELOGIN_COOLDOWN=0s", "RELOGIN_NO_SETUP=true", "RELOGIN_REPLICAS=3", "RELOGIN_ACK_WAIT=2s",
	})
}

func TestDeployment(t *testing.T) {
	servers.SkipIfShort(t, "it starts all servers of deploy/")
	t.Parallel()
	d := startDeployment(t)
	t.Run("jobs", d.testJobs)
	t.Run("context", d.testContext)
	t.Run("operators", d.testOperators)
	t.Run("consumers", d.testConsumers)
	t.Run("redis refuses", d.testRedisRefuses)
	t.Run("redis scripts", d.testRedisScripts)
	t.Run("redis sign in", d.testRedisSignIn)
	t.Run("nats refuses", d.testNATSRefuses)
	t.Run("nats routes", d.testNATSRoutes)
	t.Run("gateway of another CA", d.testGatewayOfAnotherCA)
	t.Run("refused credentials", d.testRefusedCredentials)
	t.Run("redis without TLS", d.testRedisWithoutTLS)
	t.Run("replicas gone", d.testReplicasGone)
	t.Run("redis killed", d.testRedisKilled)
}

// Everybody does with his own user what he is there for, and is refused nothing.
func (d *deployment) testJobs(t *testing.T) {
	// With these all scripts and their branches are used.
	env := append(d.workerEnv(), "RELOGIN_DAILY_PROMPTS=100", "RELOGIN_GATEWAY_RATE=1000", "RELOGIN_COOLDOWN=1m")
	watch := start(t, d.nats.env("CONSUMER"), "watch", "--count", "5", "--since", "1m")
	first := start(t, env, "worker", "--pod", "first")
	first.WaitForLog("worker ready")
	mustRun(t, d.nats.env("UPSTREAM"), "submit", "--urgent", "a")
	status, _, stderr := run(t, d.nats.env("WAITING_UPSTREAM"), "submit", "--wait", "a", "decline-b")
	if status != 1 {
		t.Errorf("exit status %d: %s", status, stderr)
	}
	// A job that waits for its account, and one whose worker dies while the phone asks.
	d.gateway.Set("c", gatewaytest.Behaviour{Manual: true})
	waiting := start(t, d.nats.env("WAITING_UPSTREAM"), "submit", "--wait", "c", "c")
	if err := d.gateway.WaitOpen(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	first.Kill()
	second := start(t, env, "worker", "--pod", "second")
	second.WaitForLog("worker ready")
	d.gateway.Answer("c", gatewaytest.Confirm)
	waiting.Wait()
	if err := d.nats.connect(t, "OPERATOR").Publish("relogin.jobs.normal", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	second.WaitForLog("dead")
	if status := watch.Wait(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	mustTerminate(t, second)
	checkNotRefused(t, first, second, watch, waiting)
	d.redis.checkNothingDenied()
	if stats := d.gateway.Stats(); stats.MaxOpenPerAccount > 1 {
		t.Errorf("%d prompts of one account were open at once", stats.MaxOpenPerAccount)
	}
}

// checkNotRefused fails the test when NATS refused one of them something.
func checkNotRefused(t *testing.T, all ...*servers.Process) {
	t.Helper()
	for _, p := range all {
		if strings.Contains(strings.ToLower(p.Log()), "permission") {
			t.Errorf("%s was refused something:\n%s", p.Name, p.Log())
		}
	}
}

// A consumer of events may follow several outcomes, and a durable consumer that the
// operator has made.
func (d *deployment) testConsumers(t *testing.T) {
	mustRun(t, d.nats.env("CONSUMER"), "watch", "--count", "1", "--since", "1m", "--outcome", "failed,unknown")
	operator, err := jetstream.New(d.nats.connect(t, "OPERATOR"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = operator.CreateConsumer(t.Context(), "RELOGIN_EVENTS", jetstream.ConsumerConfig{Durable: "billing", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	nc := d.nats.connect(t, "CONSUMER")
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := js.Consumer(t.Context(), "RELOGIN_EVENTS", "billing")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := consumer.Next()
	if err != nil {
		t.Fatal(err)
	}
	if err := msg.DoubleAck(t.Context()); err != nil {
		t.Error(err)
	}
	for name, outcomes := range map[string][]job.Outcome{"all": nil, "some": {job.Succeeded, job.Failed}} {
		d.consumeOne(t, queue.ConsumeOptions{Name: name, Outcomes: outcomes, MaxDeliveries: 1})
	}
}

// consumeOne has the consumer's user make a durable consumer, fail with the first event that
// comes, which ends in the dead stream, and handle the next.
func (d *deployment) consumeOne(t *testing.T, o queue.ConsumeOptions) {
	t.Helper()
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	failed := false
	o.MaxInFlight = 1
	err := queue.Consume(ctx, d.nats.connect(t, "CONSUMER"), o, func(context.Context, *job.Event) error {
		if !failed {
			failed = true
			return errors.New("the handler failed")
		}
		enough()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("consume as %s: %v", o.Name, err)
	}
	operator, err := jetstream.New(d.nats.connect(t, "OPERATOR"))
	if err != nil {
		t.Fatal(err)
	}
	dead, err := operator.Stream(t.Context(), "RELOGIN_DEAD")
	if err != nil {
		t.Fatal(err)
	}
	letter, err := dead.GetLastMsgForSubject(t.Context(), "relogin.dead.events")
	if err != nil {
		t.Fatal(err)
	}
	if letter.Header.Get("Relogin-Consumer") != o.Name || !strings.Contains(letter.Header.Get("Relogin-Reason"), "the handler failed") {
		t.Errorf("the dead letter of %s has %v", o.Name, letter.Header)
	}
}

// Without a replica the master refuses writes, and jobs wait until one is back.
func (d *deployment) testReplicasGone(t *testing.T) {
	w := start(t, d.workerEnv(), "worker")
	w.WaitForLog("worker ready")
	for _, replica := range d.redis.nodes[1:] {
		replica.Kill()
	}
	client := d.redis.nodes[0].client("relogin")
	defer client.Close()
	servers.Eventually(t, "the master to refuse writes", func() bool {
		return redis.HasErrorPrefix(client.Set(t.Context(), "relogin:test", "1", time.Minute).Err(), "NOREPLICAS")
	})
	submit := start(t, d.nats.env("WAITING_UPSTREAM"), "submit", "--wait", "replicas-gone")
	w.WaitForLog("NOREPLICAS")
	if account := d.gateway.Account("replicas-gone"); account.Prompts != 0 {
		t.Errorf("the phone asked: %+v", account)
	}
	d.redis.nodes[1].start()
	if status := submit.Wait(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	mustTerminate(t, w)
}

// What has reached the file is there again after kill -9, and the worker waits before it
// trusts it. While the disk syncs, Redis replies before it writes.
func (d *deployment) testRedisKilled(t *testing.T) {
	w := start(t, d.workerEnv(), "worker")
	w.WaitForLog("worker ready")
	submit := start(t, d.nats.env("WAITING_UPSTREAM"), "submit", "--wait", "redis-killed")
	if status := submit.Wait(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	master := d.redis.nodes[0]
	before := master.ask("KEYS", "relogin:{redis-killed}:job:*")
	master.ask("CONFIG", "SET", "appendfsync", "always") // waits for the disk, and writes before it replies
	servers.Eventually(t, "the file to have it", func() bool {
		return strings.Contains(master.ask("INFO", "persistence"), "\naof_buffer_length:0\r")
	})
	master.Kill()
	master.start()
	if after := master.ask("KEYS", "relogin:{redis-killed}:job:*"); after != before || len(after) < 10 {
		t.Errorf("the job's record was %s and is %s", before, after)
	}
	mustRun(t, d.nats.env("WAITING_UPSTREAM"), "submit", "--wait", "redis-killed-2")
	w.WaitForLog("may have lost locks")
	mustTerminate(t, w)
}
