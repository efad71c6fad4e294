package cache

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

// cluster is one of three masters, which serve their slots whatever becomes of the others.
type cluster struct {
	*fixture
	addrs []string
	pids  []int
}

// openCluster opens a client with patience on a Cluster of its own.
func openCluster(t *testing.T, change ...func(*Options)) *cluster {
	c := &cluster{addrs: servers.StartRedisCluster(t, "--cluster-require-full-coverage", "no", "--enable-debug-command", "yes")}
	for _, addr := range c.addrs {
		pid, err := strconv.Atoi(parseInfo(servers.Ask(t, addr, "INFO", "server"))["process_id"])
		if err != nil {
			t.Fatal(err)
		}
		c.pids = append(c.pids, pid)
	}
	patient := func(o *Options) { o.Timeout = time.Minute }
	c.fixture = open(t, c.url(), append([]func(*Options){patient}, change...)...)
	return c
}

func (c *cluster) url() string { return "redis://" + strings.Join(c.addrs, ",") }

// accounts returns n accounts whose slots are the master's, each in a slot of its own.
func (c *cluster) accounts(master, n int) []string {
	var found []string
	taken := make(map[int]bool)
	for i := 0; len(found) < n; i++ {
		account := fmt.Sprint("wxid_", i)
		slot := c.Client.keys(account).slot()
		if !taken[slot] && slot >= master*slots/3 && slot < (master+1)*slots/3 {
			taken[slot] = true
			found = append(found, account)
		}
	}
	return found
}

// stall stops the master's process until the test's end.
func (c *cluster) stall(master int) {
	c.signal(master, syscall.SIGSTOP)
	c.tb.Cleanup(func() { c.signal(master, syscall.SIGCONT) })
}

func (c *cluster) signal(master int, signal syscall.Signal) {
	c.tb.Helper()
	if err := syscall.Kill(c.pids[master], signal); err != nil {
		c.tb.Fatal(err)
	}
}

// id returns the master's name in the Cluster.
func (c *cluster) id(master int) string {
	return servers.Ask(c.tb, c.addrs[master], "CLUSTER", "MYID")
}

// job begins and finishes a job of the account.
func (c *cluster) job(ctx context.Context, account, j string) error {
	a := c.ask(j, j+"#1")
	a.WcID = account
	answer, err := c.Begin(ctx, a)
	if err != nil {
		return err
	}
	if answer.State != worker.Granted {
		return fmt.Errorf("begin: %+v", answer)
	}
	end := c.end(j, a.Token, job.Succeeded)
	end.WcID = account
	_, err = c.Finish(ctx, end)
	c.Shrink(account, j)
	return err
}

// mustServe has jobs of these accounts end while none of the calls for the others returns:
// calls makes them, and returns once one has ended.
func (c *cluster) mustServe(accounts []string, others func(ctx context.Context) error) {
	c.tb.Helper()
	ctx, cancel := context.WithCancel(c.tb.Context())
	var pending atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			pending.Add(1)
			if err := others(ctx); err == nil {
				c.tb.Error("a call to a server that stalls has ended well")
			}
			pending.Add(-1)
		})
	}
	servers.Eventually(c.tb, "pending", func() bool { return pending.Load() == 20 })
	for i, account := range accounts {
		if err := c.job(ctx, account, fmt.Sprint("j", i)); err != nil {
			c.tb.Fatalf("%s: %v", account, err)
		}
	}
	if n := pending.Load(); n != 20 {
		c.tb.Errorf("the others' calls waited for %d calls to a server that stalls", 20-n)
	}
	cancel()
	all.Wait()
}

// TestMasterStalls stops one of three masters: the jobs of the others' accounts end while
// calls and tidyings for its own wait.
func TestMasterStalls(t *testing.T) {
	t.Parallel()
	c := openCluster(t)
	stalled, healthy := c.accounts(0, 20), append(c.accounts(1, 20), c.accounts(2, 20)...)
	for _, account := range append(stalled, healthy...) {
		if err := c.job(t.Context(), account, "first"); err != nil {
			t.Fatal(err)
		}
	}
	c.stall(0)
	for i := range 3 * queueSize {
		c.Snooze(stalled[0], fmt.Sprint("j", i))
	}
	c.mustServe(healthy, func(ctx context.Context) error { return c.job(ctx, stalled[0], "j") })
	for _, account := range healthy {
		servers.Eventually(t, "shrunk", func() bool {
			return c.raw.Get(t.Context(), c.Client.keys(account).job("first")).Val() == "1"
		})
	}
	servers.Eventually(t, "an answer", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		return c.Ping(ctx) == nil
	})
}

// TestStalledMasterIsNotWaitedFor stops a master: once one call was not answered in time
// others fail at once, and all goes on when the master does.
func TestStalledMasterIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	c := openCluster(t, func(o *Options) { o.Timeout = 3 * time.Second })
	accounts := c.accounts(0, 2) // what was sent to the first one may be executed late, and lock it
	account := accounts[0]
	if err := c.job(t.Context(), account, "first"); err != nil {
		t.Fatal(err)
	}
	c.stall(0)
	servers.Eventually(t, "a call that fails at once", func() bool { return errors.Is(c.job(t.Context(), account, "second"), errStalls) })
	failed := 0
	for range 1000 {
		if errors.Is(c.job(t.Context(), account, "third"), errStalls) {
			failed++
		}
	}
	if failed < 900 {
		t.Errorf("%d of 1,000 calls failed at once", failed)
	}
	c.signal(0, syscall.SIGCONT)
	servers.Eventually(t, "an answer", func() bool { return c.job(t.Context(), accounts[1], "fourth") == nil })
}

// TestMasterKilled kills one of three masters: the jobs of the others' accounts go on, its
// own have an error, and a pod that starts then serves the others.
func TestMasterKilled(t *testing.T) {
	t.Parallel()
	c := openCluster(t, func(o *Options) { o.Timeout = time.Second })
	dead, healthy := c.accounts(0, 1)[0], append(c.accounts(1, 20), c.accounts(2, 20)...)
	c.signal(0, syscall.SIGKILL)
	for i, account := range healthy {
		if err := c.job(t.Context(), dead, "j"); err == nil {
			t.Fatal("a call to a server that is gone has ended well")
		}
		if err := c.job(t.Context(), account, fmt.Sprint("j", i)); err != nil {
			t.Fatalf("%s: %v", account, err)
		}
	}
	second := &cluster{fixture: open(t, c.url())}
	if err := second.job(t.Context(), healthy[0], "j"); err != nil {
		t.Error(err)
	}
}

// begin returns what a job of the account is answered, and lets go again.
func (c *cluster) begin(account, job string) worker.State {
	c.tb.Helper()
	a := c.ask(job, job+"#1")
	a.WcID = account
	answer, err := c.Begin(c.tb.Context(), a)
	if err != nil {
		return ""
	}
	if _, err := c.Release(c.tb.Context(), a); err != nil {
		c.tb.Fatal(err)
	}
	return answer.State
}

// TestNewMasterHoldsUpItsSlots has one of three masters be another process, as after a
// restart or a failover: only the accounts in its slots wait, in every pod.
func TestNewMasterHoldsUpItsSlots(t *testing.T) {
	t.Parallel()
	trust := &ledger{lease: time.Hour}
	c := openCluster(t, trusting(trust))
	lost, healthy := c.accounts(0, 5), append(c.accounts(1, 5), c.accounts(2, 5)...)
	for _, account := range append(lost, healthy...) {
		if state := c.begin(account, "first"); state != worker.Granted {
			t.Fatalf("%s: %s", account, state)
		}
	}
	servers.Ask(t, c.addrs[0], "DEBUG", "CHANGE-REPL-ID")
	servers.Ask(t, c.addrs[0], "CLIENT", "KILL", "TYPE", "normal")
	servers.Eventually(t, "suspended", func() bool { return c.begin(lost[0], "second") == worker.Suspended })
	second := &cluster{fixture: open(t, c.url(), trusting(trust))}
	servers.Eventually(t, "suspended in another pod", func() bool { return second.begin(lost[0], "second") == worker.Suspended })
	for _, pod := range []*cluster{c, second} {
		for _, account := range lost {
			if state := pod.begin(account, "third"); state != worker.Suspended {
				t.Errorf("%s, whose lock may be lost: %s", account, state)
			}
		}
		for _, account := range healthy {
			if state := pod.begin(account, "third"); state != worker.Granted {
				t.Errorf("%s, of another master: %s", account, state)
			}
		}
		if d := pod.Stats().SuspendedFor; d < 50*time.Minute {
			t.Errorf("suspended for %v", d)
		}
	}
}

// moves begins to move the account's slot from one master to another.
func (c *cluster) moves(account string, from, to int) {
	slot := c.Client.keys(account).slot()
	servers.Ask(c.tb, c.addrs[to], "CLUSTER", "SETSLOT", slot, "IMPORTING", c.id(from))
	servers.Ask(c.tb, c.addrs[from], "CLUSTER", "SETSLOT", slot, "MIGRATING", c.id(to))
}

func (c *cluster) migrate(key string, from, to int) {
	host, port, _ := net.SplitHostPort(c.addrs[to])
	servers.Ask(c.tb, c.addrs[from], "MIGRATE", host, port, key, 0, 5000)
}

// TestSlotMoves moves a slot from one master to another: while half of its keys are there its
// account's calls fail at once, and those beside it in the same pipelines do not. Then what
// is known of the account is found where it is.
func TestSlotMoves(t *testing.T) {
	t.Parallel()
	c := openCluster(t)
	all := c.accounts(0, 21)
	moving, healthy := all[0], all[1:]
	a := c.ask("j", "a#1")
	a.WcID = moving
	c.mustBegin(a, worker.Granted)
	c.moves(moving, 0, 1)
	k := c.Client.keys(moving)
	c.migrate(k.lock(), 0, 1)
	var calls sync.WaitGroup
	a.JobID, a.Token = "k", "b#1"
	for i, account := range healthy {
		calls.Go(func() {
			if _, err := c.Begin(t.Context(), a); err == nil || !strings.Contains(err.Error(), "TRYAGAIN") {
				t.Errorf("error %v", err)
			}
		})
		calls.Go(func() {
			if err := c.job(t.Context(), account, fmt.Sprint("j", i)); err != nil {
				t.Errorf("%s: %v", account, err)
			}
		})
	}
	calls.Wait()
	c.migrate(k.job("j"), 0, 1)
	for _, master := range []int{1, 0} {
		servers.Ask(t, c.addrs[master], "CLUSTER", "SETSLOT", k.slot(), "NODE", c.id(1))
	}
	if got := c.mustBegin(a, worker.Held); got.By != "j" {
		t.Errorf("held by %q", got.By)
	}
}

// TestSlotMovesToStalled has a slot on its way to a master that stalls: the accounts beside
// it do not wait for that one.
func TestSlotMovesToStalled(t *testing.T) {
	t.Parallel()
	c := openCluster(t)
	all := c.accounts(0, 21)
	moving, healthy := all[0], all[1:]
	for _, account := range c.accounts(1, 1) {
		if err := c.job(t.Context(), account, "first"); err != nil {
			t.Fatal(err)
		}
	}
	c.moves(moving, 0, 1)
	c.stall(1)
	c.mustServe(healthy, func(ctx context.Context) error { return c.job(ctx, moving, "j") })
}

// TestSlot compares slots with a server's.
func TestSlot(t *testing.T) {
	t.Parallel()
	addr := servers.StartRedisCluster(t)[0]
	for _, account := range []string{"", "a", "wxid_1", "微信", strings.Repeat("x", 128)} {
		k := keys{"relogin", job.AccountToken(account)}
		if want := servers.Ask(t, addr, "CLUSTER", "KEYSLOT", k.lock()); strconv.Itoa(k.slot()) != want {
			t.Errorf("%q: slot %d, want %s", account, k.slot(), want)
		}
	}
}

// TestShardOfAMaster has masters at many addresses: those that get no calls cost nothing but
// their entry.
func TestShardOfAMaster(t *testing.T) {
	t.Parallel()
	c := openCluster(t)
	for i := range 500 {
		node := redis.NewClient(&redis.Options{Addr: fmt.Sprint("127.0.0.1:", i+1)})
		defer node.Close()
		s := c.shardTo(node)
		if again := c.shardTo(node); again != s || s.node.Load() != node {
			t.Fatal("another shard for the same master")
		}
		if s.flushers != 0 || cap(s.calls) != 0 {
			t.Fatalf("an idle shard has %d flushers and room for %d calls", s.flushers, cap(s.calls))
		}
	}
	if err := c.job(t.Context(), "wxid_1", "j"); err != nil {
		t.Error(err)
	}
}
