// Package logging has the settings of the log, and makes a command's logger.
package logging

import (
	"context"
	"io"
	"log/slog"

	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/cmd/relogin/internal/terminal"
)

// Settings are about the log, on standard error.
type Settings struct {
	Level  string
	Format string // empty: text on a terminal, else json
	all    *settings.Settings
}

// Declare implements [settings.Group].
func (l *Settings) Declare(s *settings.Settings) {
	l.all = s
	s.Section("Log")
	s.Add("log-level", settings.Choice(&l.Level, "debug", "info", "warn", "error"), "info", "least level that is logged")
	s.Add("log-format", settings.Choice(&l.Format, "text", "json"), "", "of the log, on standard error").FallsBackTo("text on a terminal, else json")
}

// Logger returns a command's logger, which writes to stderr, and tells it what in all of the
// command's settings looks like a mistake. These are read.
func (l *Settings) Logger(stderr io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.Level)) // it was checked
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewJSONHandler(stderr, options)
	if l.Format == "text" || l.Format == "" && terminal.IsTerminal(stderr) {
		handler = slog.NewTextHandler(stderr, options)
	}
	log := slog.New(readable{handler})
	for _, hint := range l.all.Hints {
		log.Warn(hint)
	}
	return log
}

// readable writes durations as people do, in JSON too. Few lines have one, so that
// [slog.HandlerOptions].ReplaceAttr, which looks at each attribute, would cost more.
type readable struct{ slog.Handler }

func (h readable) Handle(ctx context.Context, r slog.Record) error {
	found := false
	for a := range r.Attrs {
		found = found || a.Value.Kind() == slog.KindDuration
	}
	if !found {
		return h.Handler.Handle(ctx, r)
	}
	var attrs []slog.Attr
	for a := range r.Attrs {
		if a.Value.Kind() == slog.KindDuration {
			a.Value = slog.StringValue(a.Value.Duration().String())
		}
		attrs = append(attrs, a)
	}
	plain := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	plain.AddAttrs(attrs...)
	return h.Handler.Handle(ctx, plain)
}
