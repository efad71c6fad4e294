//go:build linux

package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/relogin/relogin/worker/job"
)

// cancel cancels jobs wherever they are: one that has just been stored, or all of an account.
func (o *operator) cancel(ctx context.Context, random *rand.Rand) {
	for ctx.Err() == nil {
		args := []string{"--all", "--account", fmt.Sprintf("hot_%d", random.IntN(hotAccounts))}
		if j := o.w.load.some(random); j != nil && random.IntN(2) == 0 {
			args = []string{j.WcID, j.ID}
		}
		for _, r := range o.command(append([]string{"cancel", "-o", "json", "--by", "somebody"}, args...)...) {
			o.mu.Lock()
			o.tried[r.JobID] = true
			if r.Did == "cancelled" {
				o.cancelled[r.JobID] = time.Now()
			}
			o.mu.Unlock()
		}
		pause(ctx, within(random, 1500*time.Millisecond))
	}
}

// replay brings dead letters back. All die again but those of the late tenant, once it is known.
func (o *operator) replay(ctx context.Context, random *rand.Rand) {
	for ctx.Err() == nil {
		pause(ctx, second+within(random, 3*second))
		o.replayThose("--lane", string([]job.Lane{job.Normal, job.Urgent}[random.IntN(2)]))
	}
}

// replayLate brings back what the late tenant has among the dead letters, and returns how many they were.
func (o *operator) replayLate() int {
	return o.replayThose("--tenant", lateTenant, "--reason", "unknown tenant")
}

func (o *operator) replayThose(which ...string) (count int) {
	for _, r := range o.command(append([]string{"dead", "replay", "-o", "json"}, which...)...) {
		if r.Did == "replayed" {
			count++
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.replayed += count
	return count
}

// did is what a command prints of each job.
type did struct{ JobID, Did string }

// command runs relogin with -o json to its end. Its status does not count: servers are away.
func (o *operator) command(args ...string) (all []did) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, o.w.relogin, args...)
	var out, failures bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), o.w.environment()...), &out, &failures
	err := cmd.Run()
	if ctx.Err() != nil || strings.Contains(failures.String(), "panic") {
		o.w.t.Errorf("relogin %v: %v\n%s", args, err, &failures)
	}
	for lines := json.NewDecoder(&out); lines.More(); {
		var one did
		if err := lines.Decode(&one); err != nil {
			o.w.t.Errorf("relogin %v printed no JSON: %v", args, err)
			return all
		}
		all = append(all, one)
	}
	return all
}

// environment has people reach the servers past all proxies.
func (w *world) environment() []string {
	var urls []string
	for _, server := range w.nats {
		urls = append(urls, "nats://"+server.Addr)
	}
	env := []string{
		"RELOGIN_NAMESPACE=" + namespace, "RELOGIN_REPLICAS=3", "RELOGIN_NATS_URL=" + strings.Join(urls, ","),
		fmt.Sprint("RELOGIN_ACK_WAIT=", ackWait),
	}
	if w.sentinel != nil {
		return append(env, "RELOGIN_REDIS_SENTINEL_MASTER=main", "RELOGIN_REDIS_URL="+w.sentinel.URL())
	}
	return append(env, "RELOGIN_REDIS_URL=redis://"+w.redis.Addr)
}
