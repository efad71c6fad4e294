package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
)

// table is printed for people and, in Markdown, written to the page.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) text() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{t.head}, t.rows...) {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush()
	return b.String()
}

func (t *table) markdown() string {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(t.head)
	b.WriteString("|" + strings.Repeat("---|", len(t.head)) + "\n")
	for _, row := range t.rows {
		line(row)
	}
	return b.String()
}

// tables are what goes to the page: between <!-- NAME --> and <!-- /NAME -->.
type tables struct{ parts []part }

type part struct{ name, text string }

func (r *tables) add(name string, t table) { r.parts = append(r.parts, part{name, t.markdown()}) }

// write replaces the parts of the page that were measured.
func (r *tables) write(path string) error {
	if path == "" {
		return nil
	}
	page, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read report: %w", err)
	}
	text := string(page)
	var missing []error
	for _, p := range r.parts {
		begin, end := "<!-- "+p.name+" -->\n", "<!-- /"+p.name+" -->"
		before, rest, found := strings.Cut(text, begin)
		_, after, closed := strings.Cut(rest, end)
		if !found || !closed {
			missing = append(missing, fmt.Errorf("%s has no place for %s", path, p.name))
			continue
		}
		text = before + begin + p.text + end + after
	}
	return errors.Join(append(missing, os.WriteFile(path, []byte(text), 0o644))...)
}
