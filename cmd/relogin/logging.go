package main

import (
	"context"
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"
)

// logSettings are about the log, on standard error.
type logSettings struct {
	Level  string
	Format string // empty: text on a terminal, else json
}

func (l *logSettings) declare(s *settings) {
	s.titled("Log")
	s.add("log-level", choice(&l.Level, "debug", "info", "warn", "error"), "info", "least level that is logged")
	s.add("log-format", choice(&l.Format, "text", "json"), "", "of the log, on standard error").fallsBackTo("text on a terminal, else json")
}

func (*logSettings) check(*settings) {}

// logger returns the command's logger, and tells it what in the settings looks like a
// mistake.
func (a *app) logger(s *settings, l logSettings) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		panic(err) // it was checked
	}
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewJSONHandler(a.stderr, options)
	if l.Format == "text" || l.Format == "" && isTerminal(a.stderr) {
		handler = slog.NewTextHandler(a.stderr, options)
	}
	log := slog.New(readable{handler})
	for _, hint := range s.hints {
		log.Warn(hint)
	}
	return log
}

// readable writes durations as people do, in JSON too. Few lines have one, so that
// [slog.HandlerOptions].ReplaceAttr, which looks at each attribute, would cost more.
type readable struct{ slog.Handler }

func (h readable) Handle(ctx context.Context, r slog.Record) error {
	var attrs []slog.Attr
	found := false
	r.Attrs(func(a slog.Attr) bool {
		found = found || a.Value.Kind() == slog.KindDuration
		return !found
	})
	if !found {
		return h.Handler.Handle(ctx, r)
	}
	r.Attrs(func(a slog.Attr) bool {
		if a.Value.Kind() == slog.KindDuration {
			a.Value = slog.StringValue(a.Value.Duration().String())
		}
		attrs = append(attrs, a)
		return true
	})
	plain := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	plain.AddAttrs(attrs...)
	return h.Handler.Handle(ctx, plain)
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// terminalWidth returns the columns of w, 80 where it is no terminal.
func terminalWidth(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return 80
}
