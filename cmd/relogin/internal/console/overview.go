package console

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/relogin/relogin/cmd/relogin/internal/cockpit"
	"github.com/relogin/relogin/worker"
)

const (
	overviewPatience = 10 * time.Second // for a reading, before an older one is shown
	shownOpen        = 10               // on the overview
	maxRows          = 200              // of a table
)

// overviewData is what the pages overview and jobs show.
type overviewData struct {
	*cockpit.Overview
	Backlog  uint64
	Chart    *chart
	Asking   []asking // the longest first
	Waits    []wait   // the most first
	Troubles []trouble
	More     int // open confirmations that are not in Asking
}

// asking is an open confirmation.
type asking struct {
	worker.JobStatus
	Pod string
}

// wait is how many jobs wait for the same.
type wait struct {
	Reason worker.Reason
	Jobs   int
}

// trouble is something that keeps jobs from going on. What and Error are texts of others.
type trouble struct{ Kind, Name, Pod, Error string }

func (c *Console) readOverview(v *view, shown int) (*overviewData, error) {
	r, err := c.overview.get(v.r.Context(), overviewPatience)
	if err != nil {
		return nil, err
	}
	d := &overviewData{Overview: r.value, Chart: newChart(r.value.Pods, r.value.At)}
	for _, l := range d.Lanes {
		d.Backlog += l.Jobs
	}
	for _, p := range d.Pods {
		for _, j := range p.Confirmations {
			d.Asking = append(d.Asking, asking{j, p.Pod})
		}
		d.Troubles = append(d.Troubles, troubles(&p)...)
	}
	slices.SortFunc(d.Asking, func(a, b asking) int { return a.Since.Compare(b.Since) })
	d.Asking = d.Asking[:min(len(d.Asking), shown)]
	d.More = d.Open - len(d.Asking)
	for _, reason := range slices.Sorted(maps.Keys(d.Waiting)) {
		d.Waits = append(d.Waits, wait{reason, d.Waiting[reason]})
	}
	slices.SortStableFunc(d.Waits, func(a, b wait) int { return cmp.Compare(b.Jobs, a.Jobs) })
	return d, nil
}

func troubles(p *worker.PodState) (all []trouble) {
	for _, text := range p.Trouble {
		all = append(all, trouble{"pod", p.Pod, p.Pod, text})
	}
	for _, g := range p.Gateways {
		if g.Open {
			all = append(all, trouble{"gateway", g.Address, p.Pod, g.LastError})
		}
	}
	for _, r := range p.Refused {
		all = append(all, trouble{"tenant", r.Tenant, p.Pod, r.Error})
	}
	if p.Quarantine > 0 {
		all = append(all, trouble{"quarantine", p.Pod, p.Pod, fmt.Sprintf("%.0f s", p.Quarantine)})
	}
	return all
}

func (c *Console) showOverview(v *view) error {
	d, err := c.readOverview(v, shownOpen)
	if err == nil {
		c.render(v, http.StatusOK, "overview", "Overview", d)
	}
	return err
}

func (c *Console) showJobs(v *view) error {
	d, err := c.readOverview(v, maxRows)
	if err == nil {
		c.render(v, http.StatusOK, "jobs", "Jobs in flight", d)
	}
	return err
}
