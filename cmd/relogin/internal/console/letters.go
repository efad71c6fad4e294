package console

import (
	"errors"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/relogin/relogin/cmd/relogin/internal/letters"
	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker/job"
)

const (
	deadPatience = 300 * time.Millisecond // for the letters to be read, before older ones are shown
	pageLetters  = 50
	shownGroups  = 30
	shownBody    = 150 << 10 // bytes, as HTML
	shownHeader  = 1 << 10   // bytes of each
	shownHeaders = 20
)

// deadData is what the list of dead letters shows.
type deadData struct {
	Filter  queue.DeadLetterFilter
	Query   string // the filter, as a URL has it
	Reading bool   // the letters are being read for the first time: nothing else is set
	At      time.Time
	Total   int
	Indexed int
	Last    uint64
	Groups  []*letters.Group // without a filter
	More    int              // further groups
	Found   int
	Page    int // the first is 1
	Pages   int
	Letters []*queue.DeadLetter
	Bulk    bulkState
}

// Do is the query of a preview.
func (d *deadData) Do(action string) template.URL { return withQuery(d.Query, "action="+action) }

// Prev and Next are the pages beside this one, 0: there is none.
func (d *deadData) Prev() int { return d.Page - 1 }

// Next is the page after this one, 0: there is none.
func (d *deadData) Next() int {
	if d.Page < d.Pages {
		return d.Page + 1
	}
	return 0
}

// Link is the query of another page of the list.
func (d *deadData) Link(page int) template.URL {
	return withQuery(d.Query, "page="+strconv.Itoa(page))
}

// withQuery adds to a query that url.Values has encoded.
func withQuery(query, more string) template.URL {
	return template.URL(strings.TrimPrefix(query+"&"+more, "&"))
}

func (c *Console) showDead(v *view) error {
	f, query := filterOf(v.r)
	d := &deadData{Filter: f, Query: query, Bulk: c.bulk.state()}
	r, there, err := c.deadNow(v)
	if err != nil {
		return err
	}
	if d.Reading = !there; there {
		d.fill(r.value, r.at, v.r.FormValue("page"))
	}
	c.render(v, http.StatusOK, "dead", "Dead letters", d)
	return nil
}

// deadNow returns the dead letters, and whether they are there. While they are read for the first
// time they are not, and the browser comes again.
func (c *Console) deadNow(v *view) (r reading[*deadIndex], there bool, err error) {
	r, err = c.dead.get(v.r.Context(), deadPatience)
	if errors.Is(err, errStillReading) {
		v.w.Header().Set("Refresh", "2")
		return r, false, nil
	}
	return r, err == nil, err
}

func (d *deadData) fill(x *deadIndex, at time.Time, page string) {
	found := x.matching(d.Filter)
	d.At, d.Total, d.Indexed, d.Last, d.Found = at, x.total, len(x.letters), x.last, len(found)
	if d.Query == "" {
		d.Groups = x.groups[:min(len(x.groups), shownGroups)]
		d.More = len(x.groups) - len(d.Groups)
	}
	d.Pages = max(1, (len(found)+pageLetters-1)/pageLetters)
	d.Page, _ = strconv.Atoi(page) // else the first
	d.Page = min(max(d.Page, 1), d.Pages)
	from := (d.Page - 1) * pageLetters
	d.Letters = found[from:min(from+pageLetters, len(found))]
}

// filterOf returns the filter of a form, and the same as the query of a URL.
func filterOf(r *http.Request) (f queue.DeadLetterFilter, query string) {
	q := url.Values{}
	text := func(name string) string {
		value := cut(strings.TrimSpace(r.FormValue(name)), 1024)
		if value != "" {
			q.Set(name, value)
		}
		return value
	}
	f.Reason, f.Lane, f.Tenant, f.WcID, f.JobID = text("has"), job.Lane(text("lane")), text("tenant"), text("account"), text("job")
	return f, q.Encode()
}

// letterData is what the page of one dead letter shows.
type letterData struct {
	*queue.DeadLetter
	Headers []header
	Body    string
	Cut     bool // not all of the body is shown
}

type header struct{ Name, Value string }

func (c *Console) showLetter(v *view) error {
	l, err := c.letter(v)
	if err != nil {
		return err
	}
	d := &letterData{DeadLetter: l, Body: letters.Body(l.Data)}
	for _, name := range slices.Sorted(maps.Keys(l.Header)) {
		if len(d.Headers) < shownHeaders {
			d.Headers = append(d.Headers, header{cut(name, shownHeader), cut(strings.Join(l.Header[name], ", "), shownHeader)})
		}
	}
	body := cutEscaped(d.Body, shownBody)
	d.Body, d.Cut = body, len(body) < len(d.Body)
	c.render(v, http.StatusOK, "letter", "Dead letter", d)
	return nil
}

// letter returns the dead letter that the path names.
func (c *Console) letter(v *view) (*queue.DeadLetter, error) {
	sequence, err := strconv.ParseUint(v.r.PathValue("sequence"), 10, 64)
	if err != nil {
		return nil, failure{http.StatusNotFound, "There is no such dead letter."}
	}
	l, err := c.Sources.Letters.Get(v.r.Context(), sequence)
	if errors.Is(err, queue.ErrNoDeadLetter) {
		return nil, failure{http.StatusNotFound, "There is no such dead letter."}
	}
	return l, err
}

func (c *Console) showAudit(v *view) error {
	r, err := c.trail.get(v.r.Context(), overviewPatience)
	if err != nil {
		return err
	}
	entries := slices.Clone(r.value)
	slices.Reverse(entries)
	c.render(v, http.StatusOK, "audit", "Audit", entries)
	return nil
}
