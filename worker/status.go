package worker

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/relogin/relogin/worker/job"
)

// Doing says what a pod does with a job that it has taken.
type Doing string

// What a pod does with a job.
const (
	Working Doing = "working" // what takes no time, unless a server is slow
	Asking  Doing = "asking"  // its phone asks
	Waiting Doing = "waiting" // for the reason that is given beside it
)

// JobStatus is what a pod does with a job that it has taken. Times are by the pod's clock, but for
// those that the job came with.
type JobStatus struct {
	JobID      string    `json:"jobId"`
	WcID       string    `json:"wcId"`
	Tenant     string    `json:"tenant"`
	Lane       job.Lane  `json:"lane"`
	Deliveries int       `json:"deliveries"`
	StoredAt   time.Time `json:"storedAt"`
	TakenAt    time.Time `json:"takenAt"`
	Deadline   time.Time `json:"deadline,omitzero"`
	Activity
}

// Activity is what is done with a job, and since when.
type Activity struct {
	Doing  Doing     `json:"doing"`
	Reason Reason    `json:"reason,omitempty"` // with [Waiting]
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"`   // with [Asking] and [Waiting]: at the latest; zero: for as long as it takes
	Behind string    `json:"behind,omitempty"` // waiting for the account: the job that holds it
	Holder string    `json:"holder,omitempty"` // and that job's pod
}

// Status is what a pod does at one moment.
type Status struct {
	Open          int            `json:"open"` // confirmations
	Concurrency   int            `json:"concurrency"`
	Waiting       map[Reason]int `json:"waiting"`       // jobs that wait in it
	MaxParked     int            `json:"maxParked"`     // how many may
	Confirmations []JobStatus    `json:"confirmations"` // those that are open, the oldest first; not all, where they are many
	Gateways      []GatewayState `json:"gateways"`
	Refused       []RefusedState `json:"refused"` // tenants whose credential the gateway refuses
	Minutes       []Minute       `json:"minutes"` // the last ones that it has worked, the newest last
}

// GatewayState is how calls to a gateway went.
type GatewayState struct {
	Address   string    `json:"address"`
	Open      bool      `json:"breakerOpen"` // no calls are made
	NextTrial time.Time `json:"nextTrial,omitzero"`
	LastError string    `json:"lastError,omitempty"` // of the last calls that failed in a row, also when one has worked since
}

// RefusedState is a [RefusedTenant] for others.
type RefusedState struct {
	Tenant string    `json:"tenant"`
	Since  time.Time `json:"since"`
	Error  string    `json:"error"`
}

// Minute counts the events that the pod has stored in a minute.
type Minute struct {
	From     time.Time           `json:"from"`
	Outcomes map[job.Outcome]int `json:"outcomes"`
}

// Status returns what the pod does now, with at most so many of its open confirmations. It does
// not block.
func (w *Worker) Status(most int) Status {
	s := Status{Concurrency: w.Concurrency, MaxParked: w.MaxParked, Waiting: map[Reason]int{}, Minutes: w.recent.all()}
	w.inFlight.each(func(t *task) {
		switch t.activity.Doing {
		case Asking:
			s.Open++
			s.Confirmations = append(s.Confirmations, t.status())
		case Waiting:
			s.Waiting[t.activity.Reason]++
		}
	})
	s.Confirmations = oldest(s.Confirmations, most)
	for _, address := range w.gateway.Addresses() {
		s.Gateways = append(s.Gateways, w.breakers.at(address).state(address))
	}
	refused, _ := w.RefusedTenants()
	for _, r := range refused {
		s.Refused = append(s.Refused, RefusedState{r.Tenant, r.Since, r.Err.Error()})
	}
	return s
}

// Jobs returns what the pod does with the account's jobs, at most so many of them, those that it
// has had for longest first. It does not block.
func (w *Worker) Jobs(wcID string, most int) []JobStatus {
	jobs := []JobStatus{}
	w.inFlight.each(func(t *task) {
		if t.job.WcID == wcID {
			jobs = append(jobs, t.status())
		}
	})
	return oldest(jobs, most)
}

// oldest returns at most so many of the jobs, those whose activity has lasted longest.
func oldest(jobs []JobStatus, most int) []JobStatus {
	slices.SortFunc(jobs, func(a, b JobStatus) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.JobID, b.JobID)) })
	return jobs[:min(len(jobs), most):min(len(jobs), most)]
}

// inFlight are the jobs that the pod has taken, and what it does with each.
type inFlight struct {
	mu    sync.Mutex
	tasks map[*task]struct{}
}

// does notes what is done with the task's job from now on.
func (f *inFlight) does(t *task, a Activity) {
	a.Since = time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	t.activity = a
	if a.Doing == Waiting && t.nudge == nil {
		t.nudge = make(chan struct{}, 1)
	}
	f.tasks[t] = struct{}{}
}

func (f *inFlight) remove(t *task) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.tasks, t)
}

func (f *inFlight) each(do func(*task)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for t := range f.tasks {
		do(t)
	}
}

// status is called with the lock of inFlight held. What it reads but for the activity does not
// change once the job is decoded.
func (t *task) status() JobStatus {
	return JobStatus{
		JobID: clip(t.job.ID), WcID: clip(t.job.WcID), Tenant: clip(t.job.Tenant), Lane: t.d.Lane, Deliveries: t.d.Attempts,
		StoredAt: t.d.StoredAt, TakenAt: t.takenAt, Deadline: t.job.Deadline, Activity: t.activity,
	}
}

const recentMinutes = 15

// recent counts the outcomes of the last minutes.
type recent struct {
	mu      sync.Mutex
	minutes []Minute // the newest last; without those in which nothing happened
}

func (r *recent) count(o job.Outcome) {
	now := time.Now().UTC().Truncate(time.Minute)
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.minutes); n == 0 || !r.minutes[n-1].From.Equal(now) {
		r.minutes = append(r.minutes[max(0, n-recentMinutes):], Minute{From: now, Outcomes: map[job.Outcome]int{}})
	}
	r.minutes[len(r.minutes)-1].Outcomes[o]++
}

// all returns the minutes that are not too long ago.
func (r *recent) all() []Minute {
	from := time.Now().Add(-recentMinutes * time.Minute)
	r.mu.Lock()
	defer r.mu.Unlock()
	all := []Minute{}
	for _, m := range r.minutes {
		if m.From.After(from) {
			all = append(all, Minute{m.From, maps.Clone(m.Outcomes)})
		}
	}
	return all
}

// PodState is what a pod answers to those who ask what it does.
type PodState struct {
	Pod        string            `json:"pod"`
	Version    string            `json:"version"`
	StartedAt  time.Time         `json:"startedAt"`
	Stopping   bool              `json:"stopping"`   // it takes no more jobs
	Now        time.Time         `json:"now"`        // by its clock
	Settings   map[string]string `json:"settings"`   // those that matter to what is promised, by their flags
	Quarantine float64           `json:"quarantine"` // seconds, from now, for which no confirmation starts for some accounts at the least, since Redis may have lost locks
	Trouble    []string          `json:"trouble"`    // why it starts no confirmation, as /readyz tells it
	Pauses     map[string]int    `json:"pauses"`     // how many it knows of, by scope
	Status
}

// PodJobs is what a pod answers to those who ask what it does with an account's jobs.
type PodJobs struct {
	Pod  string      `json:"pod"`
	Jobs []JobStatus `json:"jobs"` // not all, where they are many
}
