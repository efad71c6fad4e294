package cli

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/backend"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker"
)

// completionPatience is how long somebody waits who has pressed the tab key.
const completionPatience = 2 * time.Second

// complete has shells complete accounts, their jobs and tenants, where the command takes them: those
// whose phones ask now, which pods tell at once.
func (p *Program) complete(cmd *cobra.Command, declared *settings.Settings, groups []settings.Group) {
	at := slices.IndexFunc(groups, func(g settings.Group) bool { _, ok := g.(*backend.NATS); return ok })
	if at < 0 {
		return
	}
	n := groups[at].(*backend.NATS)
	names := func(of func(worker.JobStatus) string) cobra.CompletionFunc {
		return func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return askingNow(cmd.Context(), declared, n, of), cobra.ShellCompDirectiveNoFileComp
		}
	}
	accounts, tenants := names(func(j worker.JobStatus) string { return j.WcID }), names(func(j worker.JobStatus) string { return j.Tenant })
	for flag, completes := range map[string]cobra.CompletionFunc{"account": accounts, "tenant": tenants} {
		if cmd.Flags().Lookup(flag) != nil {
			_ = cmd.RegisterFlagCompletionFunc(flag, completes) // it fails for a flag that there is not
		}
	}
	if strings.Contains(cmd.Use, "WCID") {
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return accounts(cmd, args, typed)
			}
			return names(func(j worker.JobStatus) string {
				if j.WcID != args[0] {
					return ""
				}
				return j.JobID
			})(cmd, args, typed)
		}
	}
}

// askingNow returns what the function tells of each job whose phone asks, sorted, each once. It returns
// nothing where pods can't be asked: a shell has no use for the reason.
func askingNow(ctx context.Context, declared *settings.Settings, n *backend.NATS, of func(worker.JobStatus) string) []string {
	if declared.Load() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, completionPatience)
	defer cancel()
	nc, err := n.ConnectSoon(ctx, "relogin completion", slog.New(slog.DiscardHandler), completionPatience)
	if err != nil {
		return nil
	}
	defer nc.Close()
	pods, err := queue.AskPods[worker.PodState](ctx, nc, n.Namespace)
	if err != nil {
		return nil
	}
	found := map[string]bool{}
	for _, pod := range pods {
		for _, j := range pod.Confirmations {
			found[of(j)] = true
		}
	}
	delete(found, "")
	return slices.Sorted(maps.Keys(found))
}
