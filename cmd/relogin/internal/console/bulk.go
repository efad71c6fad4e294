package console

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"iter"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/relogin/relogin/cmd/relogin/internal/bulk"
	"github.com/relogin/relogin/cmd/relogin/internal/letters"
	"github.com/relogin/relogin/queue"
)

// bulkRun is what is done with many dead letters: one such thing at a time, the last one included.
type bulkRun struct {
	mu      sync.Mutex
	last    bulkState
	running bool
}

// bulkState is how it goes.
type bulkState struct {
	Action       queue.Action // empty: nothing was begun yet
	By           string
	At           time.Time
	Done, Failed int
	Running      bool
	Error        string // of the last one that failed
}

func (b *bulkRun) state() bulkState {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last.Running = b.running
	return b.last
}

// begin tells whether it may begin: nothing else runs.
func (b *bulkRun) begin(s bulkState) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running {
		return false
	}
	b.last, b.running = s, true
	return true
}

func (b *bulkRun) count(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.last.Done++
		return
	}
	b.last.Failed, b.last.Error = b.last.Failed+1, cut(err.Error(), maxReason)
}

func (b *bulkRun) end(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running = false
	if err != nil {
		b.last.Error = cut(err.Error(), maxReason)
	}
}

// previewData is what the page shows that asks whether it is to be done.
type previewData struct {
	Filter   queue.DeadLetterFilter
	Query    string
	Action   queue.Action
	Reading  bool
	Found    int
	Last     uint64 // no newer letter is meant
	Letters  []*queue.DeadLetter
	Everyone bool // without a filter
}

const previewLetters = 10

// Link is the query of the list with this filter.
func (d *previewData) Link() template.URL { return template.URL(d.Query) }

// Filters are what the filter says, for people.
func (d *previewData) Filters() (all []header) {
	f := d.Filter
	for _, one := range []header{{"Reason has in it", f.Reason}, {"Lane", string(f.Lane)}, {"Tenant", f.Tenant}, {"Account", f.WcID}, {"Job id", f.JobID}} {
		if one.Value != "" {
			all = append(all, one)
		}
	}
	return all
}

func (c *Console) showPreview(v *view) error {
	action, err := v.action()
	if err != nil {
		return err
	}
	f, query := filterOf(v.r)
	d := &previewData{Filter: f, Query: query, Action: action, Everyone: query == ""}
	r, there, err := c.deadNow(v)
	if err != nil {
		return err
	}
	if d.Reading = !there; there {
		if r.value.total > len(r.value.letters) {
			return failure{http.StatusConflict, "There are too many dead letters to count them here: use relogin dead."}
		}
		found := r.value.matching(f)
		d.Found, d.Last, d.Letters = len(found), r.value.last, found[:min(len(found), previewLetters)]
	}
	title := map[queue.Action]string{queue.ActionReplay: "Replay dead letters", queue.ActionDrop: "Drop dead letters"}[action]
	c.render(v, http.StatusOK, "preview", title, d)
	return nil
}

// changeLetters begins what was previewed. It goes on after the reply.
func (c *Console) changeLetters(v *view) (string, error) {
	action, reason, err := v.change()
	if err != nil {
		return "", err
	}
	last, err := strconv.ParseUint(v.r.PostFormValue("last"), 10, 64)
	if err != nil {
		return "", failure{http.StatusBadRequest, "Look at the preview first."}
	}
	f, _ := filterOf(v.r)
	if !c.bulk.begin(bulkState{Action: action, By: v.user.Name, At: time.Now()}) {
		return "", failure{http.StatusConflict, "Others are being replayed or dropped: wait until that is done."}
	}
	ctx, cancel := v.finishing()
	defer cancel()
	what := fmt.Sprintf("%s, up to number %d", letters.DescribeFilter(f), last)
	err = c.Audit.Record(ctx, queue.AuditEntry{Action: action, By: v.user.Name, Reason: reason, What: what})
	if err == nil && !c.readings.start(func(ctx context.Context) { c.runBulk(ctx, action, f, last) }) {
		err = errClosed
	}
	if err != nil {
		c.bulk.end(err)
	}
	return "begun", err
}

func (c *Console) runBulk(ctx context.Context, action queue.Action, f queue.DeadLetterFilter, last uint64) {
	err := bulk.Each(ctx, upTo(c.Sources.Letters.All(ctx, f), last), letters.Apply(c.Sources.Letters, action), func(_ *queue.DeadLetter, err error) error {
		if errors.Is(err, queue.ErrNoDeadLetter) {
			err = nil // another program has done it
		}
		c.bulk.count(err)
		return nil
	})
	c.bulk.end(err)
	c.outdate()
	s := c.bulk.state()
	c.Log.Info("dead letters were changed from the console", "action", string(action), "by", s.By, "done", s.Done, "failed", s.Failed, "error", err)
}

// upTo ends after the letter of that sequence: those that came after a preview are not meant.
func upTo(all iter.Seq2[*queue.DeadLetter, error], last uint64) iter.Seq2[*queue.DeadLetter, error] {
	return func(yield func(*queue.DeadLetter, error) bool) {
		for l, err := range all {
			if err == nil && l.Sequence > last || !yield(l, err) {
				return
			}
		}
	}
}
