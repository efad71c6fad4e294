//go:build linux

package hostile

import (
	"fmt"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

var columns = []string{"case", "jobs", "healthy jobs", "ended wrong", "most prompts open", "alone p99", "p50", "p99", "max", "pod's peak", "verdict"}

func (r row) cells() []string {
	ms := func(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
	return []string{
		r.name, fmt.Sprint(r.jobs), fmt.Sprint(r.healthy), fmt.Sprint(r.wrong), fmt.Sprint(r.mostOpen),
		ms(r.own), ms(r.p50), ms(r.p99), ms(r.max), fmt.Sprintf("%d MiB", r.peak>>20), r.verdict(),
	}
}

func (r row) verdict() string {
	switch {
	case len(r.broken) > 0:
		return "BROKEN"
	case r.unbounded != "":
		return "held; delay not judged: " + r.unbounded
	}
	return "held"
}

// table shows the rows on a terminal.
func table(rows []row) string {
	var text strings.Builder
	out := tabwriter.NewWriter(&text, 0, 4, 2, ' ', 0)
	fmt.Fprintln(out, "\n"+strings.Join(columns, "\t"))
	for _, r := range rows {
		fmt.Fprintln(out, strings.Join(r.cells(), "\t"))
	}
	_ = out.Flush()
	for _, r := range rows {
		for _, what := range r.broken {
			fmt.Fprintf(&text, "%s: %s\n", r.name, what)
		}
	}
	return text.String()
}

// markdown shows the rows in a document, with how they came about and what each case is.
func markdown(rows []row, took time.Duration) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s, %d minutes on %d cores: `make hostile SEED=%d`.\n\n",
		time.Now().Format(time.DateOnly), int(took.Round(time.Minute).Minutes()), runtime.NumCPU(), *seed)
	line := func(cells []string) { fmt.Fprintf(&text, "| %s |\n", strings.Join(cells, " | ")) }
	line(append(columns[:1:1], append([]string{"what goes wrong"}, columns[1:]...)...))
	line(strings.Split(strings.Repeat("---,", len(columns))+"---", ","))
	for _, r := range rows {
		cells := r.cells()
		line(append(cells[:1:1], append([]string{r.what}, cells[1:]...)...))
	}
	return text.String()
}
