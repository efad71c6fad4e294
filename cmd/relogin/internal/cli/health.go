package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/httpserver"
	"github.com/relogin/relogin/cmd/relogin/internal/pod"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
)

// healthSettings say which worker to ask.
type healthSettings struct{ HTTPAddr string }

func (h *healthSettings) Declare(s *settings.Settings) {
	s.Section("Worker")
	pod.DeclareHTTPAddr(s, &h.HTTPAddr)
}

func (h *healthSettings) Check(s *settings.Settings) {
	if !s.IsSet("http-addr") {
		s.Refuse(errors.New("--http-addr is not set: the worker must serve HTTP to be asked"))
	}
}

func newHealthCommand(p *Program) *cobra.Command {
	var s healthSettings
	cmd := &cobra.Command{
		Use:   "health",
		Short: "ask this machine's worker whether it is ready",
		Long:  "Asks the worker on this machine, at /readyz of its --http-addr, and prints its answer. The exit status is 0 when it is ready, else 1: the health check of a container.",
	}
	settings.Declare(cmd, p.Environ, &s)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return httpserver.AskReady(cmd.Context(), s.HTTPAddr, p.Stdout)
	}
	return cmd
}
