package console

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"strings"
	"time"
	"unicode/utf8"
)

// sheet is what templates show, and how they say it.
type sheet struct {
	Title   string
	Path    string // of this page, with its query
	Section string // the page's place in the navigation
	User    *User
	Session bool // the user has logged in, and can log out
	Live    bool // the page is refreshed
	Data    any

	tongue tongue
	now    time.Time
}

// parsePages returns the templates by their names, each with the layout.
func parsePages() (map[string]*template.Template, error) {
	layout, err := template.ParseFS(files, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, fmt.Errorf("parse templates: %w", err)
	}
	names, err := files.ReadDir("templates")
	if err != nil {
		return nil, err
	}
	pages := map[string]*template.Template{}
	for _, one := range names {
		name := strings.TrimSuffix(one.Name(), ".html")
		if name == "layout" || name == "parts" {
			continue
		}
		page, err := layout.Clone()
		if err == nil {
			page, err = page.ParseFS(files, path.Join("templates", one.Name()))
		}
		if err != nil {
			return nil, fmt.Errorf("parse template %s: %w", name, err)
		}
		pages[name] = page
	}
	return pages, nil
}

// live are the pages that browsers fetch again and again.
var live = map[string]bool{"overview": true, "jobs": true, "dead": true, "audit": true}

func (c *Console) render(v *view, status int, name, title string, data any) {
	s := &sheet{
		Title: v.lang.say(title), Path: "/", Section: name, User: v.user, Session: v.user != nil && len(c.Users) > 0,
		Live: live[name], Data: data, tongue: v.lang, now: time.Now(),
	}
	if v.r.Method == http.MethodGet {
		s.Path = v.r.URL.RequestURI()
	}
	var b bytes.Buffer
	if err := c.pages[name].ExecuteTemplate(&b, "layout", s); err != nil {
		c.Log.Error("a page of the console can't be made", "page", name, "error", err)
		http.Error(v.w, "This page can't be made; the log says why.", http.StatusInternalServerError)
		return
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.Header().Set("Vary", "Accept-Language, Cookie")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(b.Bytes()) // whoever asks may be gone
}

// T says the text in the reader's language.
func (s *sheet) T(text string, args ...any) string { return s.tongue.say(text, args...) }

// Lang is the reader's language, as HTML names it.
func (s *sheet) Lang() string { return s.tongue.Tag() }

// IsChinese tells whether the page is in Chinese.
func (s *sheet) IsChinese() bool { return s.tongue == chinese }

// CanChange tells whether the reader may change something.
func (s *sheet) CanChange() bool { return s.User != nil && s.User.Role == Operator }

// Clock returns the time for people.
func (*sheet) Clock(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

// Machine returns the time for programs.
func (*sheet) Machine(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Ago returns how long ago it was.
func (s *sheet) Ago(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return span(s.now.Sub(t))
}

// In returns how long it is until then.
func (s *sheet) In(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return span(t.Sub(s.now))
}

// span returns the two largest units.
func span(d time.Duration) string {
	d = max(d, 0).Truncate(time.Second)
	switch {
	case d >= 24*time.Hour:
		return fmt.Sprintf("%d d %d h", d/(24*time.Hour), d/time.Hour%24)
	case d >= time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d/time.Minute%60)
	case d >= time.Minute:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d/time.Second%60)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

// Clip returns the beginning of a name or sentence that may be very long.
func (*sheet) Clip(v any) string { return cut(fmt.Sprint(v), 300) }

// N returns a number with its thousands apart.
func (*sheet) N(v any) string {
	digits := fmt.Sprint(v)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:]
	}
	return digits
}

// cut returns at most so many bytes, and dots where that is not all.
func cut(s string, most int) string {
	if len(s) <= most {
		return strings.Clone(s)
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}

// cutEscaped returns the beginning of a text that has at most so many bytes as HTML.
func cutEscaped(s string, most int) string {
	for i, r := range s {
		most -= utf8.RuneLen(r)
		if strings.ContainsRune(`<>&"'+`, r) {
			most -= len("&#34;") - 1
		}
		if most < 0 {
			return s[:i]
		}
	}
	return s
}
