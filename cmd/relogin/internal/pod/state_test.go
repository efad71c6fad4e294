package pod

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

// Whatever names jobs have, an answer fits into a message of a megabyte.
func TestAnswersFit(t *testing.T) {
	name, now := strings.Repeat("<", job.MaxNameBytes), time.Now()
	one := worker.JobStatus{
		JobID: name, WcID: name, Tenant: name, Lane: job.Urgent, StoredAt: now, TakenAt: now, Deadline: now,
		Activity: worker.Activity{Doing: worker.Waiting, Reason: worker.WaitsForCredential, Since: now, Until: now, Behind: name, Holder: name},
	}
	var state worker.PodState
	jobs := worker.PodJobs{Pod: name}
	for range mostConfirmations {
		state.Confirmations = append(state.Confirmations, one)
	}
	for range mostJobs {
		jobs.Jobs = append(jobs.Jobs, one)
	}
	for about, answer := range map[string]any{"state": state, "jobs": jobs} {
		data, err := json.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 1<<20 {
			t.Errorf("%s: %d bytes", about, len(data))
		}
	}
}
