package console

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/relogin/relogin/cmd/relogin/internal/cockpit"
	"github.com/relogin/relogin/worker/job"
)

const searchPatience = 15 * time.Second // for a turn, and as long again for the answer

// accountData is what the page account shows.
type accountData struct {
	WcID, JobID string
	Problem     string
	Account     *cockpit.Account // nil: nothing was searched for, or found
	Job         *cockpit.Job     // nil: no job was asked for
	Events      []*job.Event     // the newest first
}

func (c *Console) showAccount(v *view) error {
	d := &accountData{WcID: v.r.FormValue("wcId"), JobID: v.r.FormValue("job")}
	status := http.StatusOK
	switch {
	case d.WcID == "":
	case (&job.Job{WcID: d.WcID}).Check() != nil:
		status, d.Problem = http.StatusBadRequest, "That can't be an account: want 1 to 128 bytes without control characters."
	default:
		if err := c.searchAccount(v, d); err != nil {
			return err
		}
	}
	c.render(v, status, "account", "Account", d)
	return nil
}

// searchAccount fills in what is known of the account. Only a few are searched for at a time, since
// each may read the whole queue.
func (c *Console) searchAccount(v *view, d *accountData) error {
	turn := time.NewTimer(searchPatience)
	defer turn.Stop()
	select {
	case c.searches <- struct{}{}:
		defer func() { <-c.searches }()
	case <-turn.C:
		return failure{http.StatusServiceUnavailable, "Others search for accounts just now: try again."}
	case <-v.r.Context().Done():
		return context.Cause(v.r.Context())
	}
	ctx, cancel := context.WithTimeout(v.r.Context(), searchPatience)
	defer cancel()
	a, err := c.source.Account(ctx, d.WcID)
	if err != nil {
		return err
	}
	if d.JobID != "" {
		if d.Job, err = c.source.Job(ctx, a, d.JobID); err != nil {
			return err
		}
	}
	d.Account, d.Events = a, slices.Clone(a.Events)
	a.Jobs, a.Queued = a.Jobs[:min(len(a.Jobs), maxRows)], a.Queued[:min(len(a.Queued), maxRows)]
	slices.Reverse(d.Events)
	return nil
}
