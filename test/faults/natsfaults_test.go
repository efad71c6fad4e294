//go:build linux

package faults

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/test/servers"
)

func natsFaults() []fault {
	return []fault{
		killedServers("NATS: one of three killed -9", 1),
		killedServers("NATS: two of three killed -9, no quorum", 2),
		killedServers("NATS: all three killed -9", 3),
		during("NATS: one of three SIGSTOP", moment, 6*second, func(w *world) func() {
			server := w.nats[w.some(len(w.nats))]
			server.Signal(syscall.SIGSTOP)
			return func() { server.Signal(syscall.SIGCONT) }
		}),
		once("NATS: every leader steps down", stepDown),
		during("NATS: the events stream at its limit", moment, 4*second, func(w *world) func() {
			w.limitEvents(func(s jetstream.StreamInfo) int64 { return int64(max(s.State.Msgs, 1)) })
			return func() { w.limitEvents(func(jetstream.StreamInfo) int64 { return -1 }) }
		}),
		during("NATS: a full disk", 2*second, 5*second, func(w *world) func() {
			ballast := filepath.Join(w.dir, "nats2", "ballast")
			_ = os.WriteFile(ballast, make([]byte, diskBytes), 0o600) // until there is no room
			return func() {
				_ = os.Remove(ballast)
				w.restartNATS(w.nats[2:]...) // a server that met a full disk gives up storing until then
			}
		}),
	}
}

// diskBytes is the size of the file system of the last NATS server.
const diskBytes = 128 << 20

func killedServers(name string, count int) fault {
	return during(name, moment, 4*second, func(w *world) func() {
		first := w.some(len(w.nats))
		var some []*servers.NATSProcess
		for i := range count {
			some = append(some, w.nats[(first+i)%len(w.nats)])
		}
		for _, server := range some {
			server.Signal(syscall.SIGKILL)
		}
		return func() { w.restartNATS(some...) }
	})
}

// restartNATS kills the servers if they still run, and starts them.
func (w *world) restartNATS(some ...*servers.NATSProcess) {
	w.restarting.Lock() // two faults may hit the same server
	defer w.restarting.Unlock()
	for _, server := range some {
		server.Kill()
		server.Start()
	}
	servers.Poll(30*second, w.natsSteady)
}

// natsSteady tells whether every stream has a leader and two replicas that are current.
func (w *world) natsSteady() bool {
	for _, name := range []string{"JOBS", "EVENTS", "DEAD"} {
		ctx, cancel := context.WithTimeout(context.Background(), 2*second)
		stream, err := w.js.Stream(ctx, strings.ToUpper(namespace)+"_"+name)
		cancel()
		if err != nil {
			return false
		}
		cluster := stream.CachedInfo().Cluster
		if cluster == nil || cluster.Leader == "" || len(cluster.Replicas) != 2 {
			return false
		}
		for _, replica := range cluster.Replicas {
			if !replica.Current || replica.Offline {
				return false
			}
		}
	}
	return true
}

func stepDown(w *world) {
	stream := strings.ToUpper(namespace)
	for _, subject := range []string{
		"STREAM.LEADER.STEPDOWN." + stream + "_JOBS", "STREAM.LEADER.STEPDOWN." + stream + "_EVENTS",
		"STREAM.LEADER.STEPDOWN.KV_" + stream + "_REDIS",
		"CONSUMER.LEADER.STEPDOWN." + stream + "_JOBS.normal", "CONSUMER.LEADER.STEPDOWN." + stream + "_JOBS.urgent",
	} {
		_, _ = w.nc.Request("$JS.API."+subject, nil, second) // another fault may have taken its quorum
	}
}

// limitEvents changes how many events the stream takes.
func (w *world) limitEvents(limit func(jetstream.StreamInfo) int64) {
	var err error
	ok := servers.Poll(60*second, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 2*second)
		defer cancel()
		stream, failed := w.js.Stream(ctx, strings.ToUpper(namespace)+"_EVENTS")
		if err = failed; err != nil {
			return false
		}
		config := stream.CachedInfo().Config
		config.MaxMsgs = limit(*stream.CachedInfo())
		_, err = w.js.UpdateStream(ctx, config)
		return err == nil
	})
	if !ok {
		w.t.Errorf("limit the events stream: %v", err)
	}
}

// mountDisk gives the last NATS server a small file system.
func (w *world) mountDisk() {
	dir := filepath.Join(w.dir, "nats2")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprint("size=", diskBytes)); err != nil {
		w.t.Fatalf("mount a file system that can be full, as root: %v", err)
	}
	w.t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
}
