package pod

import (
	"context"
	"strconv"
	"time"

	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker"
)

// Of what a pod tells of itself at once so much that an answer stays below the megabyte that NATS
// takes by default: a job takes 3.3 kB where its names are as long as they may be, and escaped.
const (
	mostConfirmations = 250
	mostJobs          = 250
)

const (
	stateFor       = 250 * time.Millisecond // how long an answer counts: somebody may ask without a pause
	troubleTimeout = 200 * time.Millisecond // how long Redis gets to answer; who asks pods waits little longer
)

// serveState answers operators who ask what the pod does, until Close.
func (p *Pod) serveState(ctx context.Context) error {
	started, last := time.Now(), worker.PodState{}
	state := func() any { // NATS calls it for one request after the other
		if time.Since(last.Now) > stateFor {
			last = p.state(started, ctx.Err() != nil)
		}
		return last
	}
	stop, err := queue.ServePod(ctx, p.NATS, p.s.NATS.Namespace, queue.PodService{
		Pod: p.s.Pipeline.Pod, Version: p.s.Version,
		State:     state,
		LookAgain: p.worker.LookAgain,
		Account: func(wcID string) any {
			return worker.PodJobs{Pod: p.s.Pipeline.Pod, Jobs: p.worker.Jobs(wcID, mostJobs)}
		},
	})
	if err == nil {
		p.ends = append(p.ends, stop)
	}
	return err
}

func (p *Pod) state(started time.Time, stopping bool) worker.PodState {
	s := worker.PodState{
		Pod: p.s.Pipeline.Pod, Version: p.s.Version, StartedAt: started.UTC(), Stopping: stopping, Now: time.Now().UTC(),
		Settings: p.promised(), Quarantine: p.cache.Stats().SuspendedFor.Seconds(), Trouble: []string{},
		Pauses: map[string]int{}, Status: p.worker.Status(mostConfirmations),
	}
	for scope, n := range p.pauses.Counts() {
		s.Pauses[string(scope)] = n
	}
	ctx, cancel := context.WithTimeout(context.Background(), troubleTimeout)
	defer cancel()
	for _, one := range p.ready(ctx, context.Background()) {
		if one.Err != nil {
			s.Trouble = append(s.Trouble, one.Name+": "+one.Err.Error())
		}
	}
	return s
}

// promised are the settings that matter to what is promised: pods should not differ in them.
func (p *Pod) promised() map[string]string {
	o := p.s.Pipeline
	all := map[string]string{
		"daily-prompts": strconv.Itoa(o.DailyPrompts), "gateway-rate": strconv.FormatFloat(o.GatewayRate, 'g', -1, 64),
		"max-deliveries": strconv.Itoa(o.MaxDeliveries), "event-encoding": string(p.s.Output.EventEncoding), "lease": settings.FormatDuration(p.cache.Lease()),
	}
	for name, d := range map[string]time.Duration{
		"confirm-timeout": o.ConfirmTimeout, "send-window": o.SendWindow, "min-confirm-time": o.MinConfirmTime, "cooldown": o.Cooldown,
		"job-memory": p.s.Streams.JobMemory, "event-max-age": p.s.Streams.EventMaxAge,
	} {
		all[name] = settings.FormatDuration(d)
	}
	return all
}
