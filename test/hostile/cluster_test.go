//go:build linux

package hostile

import (
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/job"
)

const (
	slotCount = 16384
	ill       = 2 // the master of the Cluster that the cases are about
)

// clusterCases are about a part of a Redis Cluster. The neighbours' accounts are in the
// other parts.
func clusterCases() []hostileCase {
	partly := setting{cluster: true, others: func(slot int) bool { return slot < ill*slotCount/3 }, patience: 90 * time.Second, concurrency: 64}
	return []hostileCase{
		{
			name: "cluster-starts", what: "The first pod of a new Redis Cluster starts.", alone: true,
			setting: setting{cluster: true, cold: true, confirmTimeout: 30 * time.Second, patience: 20 * time.Second},
			run: func(a *attack) {
				if !servers.Poll(5*time.Second, a.world.pods[0].ready) {
					a.fails("the first pod of a new Cluster is not ready after 5 s")
				}
				for i := range scaled(300) {
					a.send(a.job(a.account(i)), succeeds)
				}
			},
		},
		{
			name: "master-stopped", what: "One of three masters of a Redis Cluster is stopped for 15 s.", alone: true, setting: partly,
			run: func(a *attack) {
				pid := a.redisPID(ill)
				a.signal(pid, syscall.SIGSTOP)
				a.flood(max(100, scaled(500)), func(i int) { a.send(a.jobInPart(i), succeeds) })
				a.settled()
				a.pause(during(15 * time.Second))
				a.signal(pid, syscall.SIGCONT)
			},
		},
		{
			name: "slot-moving", what: "One slot of a Redis Cluster is being moved for 15 s.", alone: true, short: true, setting: partly,
			run: func(a *attack) {
				slot := slotCount - 100
				accounts := a.accountsIn(slot, max(100, scaled(300)))
				finish := a.moveSlot(slot, ill, 0)
				for _, account := range accounts {
					a.send(a.job(account), succeeds)
				}
				a.settled()
				a.pause(during(15 * time.Second))
				finish()
			},
		},
		{
			name: "master-fails-over", what: "One of three masters of a Redis Cluster fails over to its replica.", alone: true, setting: partly,
			run: func(a *attack) {
				replica := a.addReplica(ill)
				a.flood(scaled(500), func(i int) { a.send(a.jobInPart(i), endsAs(job.Succeeded, job.Unknown)) })
				servers.Ask(a.t, replica, "CLUSTER", "FAILOVER")
				a.flood(scaled(500), func(i int) { a.send(a.jobInPart(10_000+i), endsAs(job.Succeeded, job.Unknown)) })
				a.settled()
				a.pause(during(15 * time.Second))
			},
		},
	}
}

// jobInPart returns a job of an account that the ill master has.
func (a *attack) jobInPart(i int) *job.Job {
	for k := 0; ; k++ {
		account := fmt.Sprintf("%s_%d", a.account(i), k)
		if slotOf(account) > ill*slotCount/3 {
			return a.job(account)
		}
	}
}

// accountsIn returns accounts that are all in one slot.
func (a *attack) accountsIn(slot, count int) (accounts []string) {
	for k := 0; len(accounts) < count; k++ {
		if account := a.account(k); slotOf(account) == slot {
			accounts = append(accounts, account)
		}
	}
	return accounts
}

// slotOf returns the slot of an account's keys: the account is their hash tag.
func slotOf(account string) int {
	var crc uint16
	for _, b := range []byte(job.AccountToken(account)) {
		crc ^= uint16(b) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc) % slotCount
}

func (a *attack) nodeID(master int) string {
	return servers.Ask(a.t, a.masters[master], "CLUSTER", "MYID")
}

// moveSlot begins to move a slot, and returns what ends it.
func (a *attack) moveSlot(slot, from, to int) (finish func()) {
	ids := []string{a.nodeID(from), a.nodeID(to)}
	servers.Ask(a.t, a.masters[to], "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
	servers.Ask(a.t, a.masters[from], "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
	return func() {
		host, port, _ := net.SplitHostPort(a.masters[to])
		for _, key := range strings.Fields(strings.Trim(servers.Ask(a.t, a.masters[from], "CLUSTER", "GETKEYSINSLOT", slot, 10_000), "[]")) {
			servers.Ask(a.t, a.masters[from], "MIGRATE", host, port, key, 0, 5000, "REPLACE")
		}
		for _, master := range []int{to, from, 3 - to - from} {
			servers.Ask(a.t, a.masters[master], "CLUSTER", "SETSLOT", slot, "NODE", ids[1])
		}
	}
}

// addReplica starts a replica of a master, and returns its address once it is one.
func (a *attack) addReplica(master int) string {
	replica := servers.StartRedis(a.t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0")
	host, port, _ := net.SplitHostPort(a.masters[0])
	servers.Ask(a.t, replica.Addr, "CLUSTER", "MEET", host, port)
	id := a.nodeID(master)
	known := func() bool { return strings.Contains(servers.Ask(a.t, replica.Addr, "CLUSTER", "NODES"), id) }
	if !servers.Poll(10*time.Second, known) {
		a.t.Fatal("the replica does not get to know its master")
	}
	servers.Ask(a.t, replica.Addr, "CLUSTER", "REPLICATE", id)
	synced := func() bool {
		return strings.Contains(servers.Ask(a.t, replica.Addr, "INFO", "replication"), "master_link_status:up")
	}
	if !servers.Poll(10*time.Second, synced) {
		a.t.Fatal("the replica does not sync")
	}
	return replica.Addr
}

// redisPID returns the process of one of the masters.
func (a *attack) redisPID(master int) (pid int) {
	info := servers.Ask(a.t, a.masters[master], "INFO", "server")
	_, after, _ := strings.Cut(info, "process_id:")
	if _, err := fmt.Sscan(after, &pid); err != nil {
		a.t.Fatalf("redis tells no process id: %v", err)
	}
	return pid
}

func (a *attack) signal(pid int, s syscall.Signal) {
	if err := syscall.Kill(pid, s); err != nil {
		a.fails("%v", err)
	}
}
