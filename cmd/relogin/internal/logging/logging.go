// Package logging has the settings of the log, and makes a command's logger.
package logging

import (
	"io"
	"log/slog"

	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/cmd/relogin/internal/terminal"
)

// Settings are about the log, on standard error.
type Settings struct {
	Level  string
	Format string // empty: text on a terminal, else json
}

// Declare implements [settings.Group].
func (l *Settings) Declare(s *settings.Settings) {
	s.Section("Log")
	s.Add("log-level", settings.Choice(&l.Level, "debug", "info", "warn", "error"), "info", "least level that is logged")
	s.Add("log-format", settings.Choice(&l.Format, "text", "json"), "", "of the log, on standard error").Default = "text on a terminal, else json"
}

// Logger returns a command's logger, which writes to stderr and has told the hints, which are
// about what looks like a mistake in the settings.
func (l *Settings) Logger(stderr io.Writer, hints []string) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.Level)) // it was checked
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: readable}
	var handler slog.Handler = slog.NewJSONHandler(stderr, options)
	if l.Format == "text" || l.Format == "" && terminal.IsTerminal(stderr) {
		handler = slog.NewTextHandler(stderr, options)
	}
	log := slog.New(handler)
	for _, hint := range hints {
		log.Warn(hint)
	}
	return log
}

// readable has durations written as people do, in JSON too.
func readable(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}
