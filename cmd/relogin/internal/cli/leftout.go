//go:build nodev

package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

// A build with the tag nodev is for production. It leaves out the commands that need the
// embedded NATS server, the embedded Redis or the simulated gateway, so that no worker
// carries these.

func newDevCommand(*Program) *cobra.Command     { return leftOut("dev") }
func newGatewayCommand(*Program) *cobra.Command { return leftOut("gateway") }
func newBenchCommand(*Program) *cobra.Command   { return leftOut("bench") }

// leftOut returns a command that says where the real one of that name is.
func leftOut(name string) *cobra.Command {
	return &cobra.Command{
		Use:                name,
		Short:              "not in this build, which is for production",
		Hidden:             true,
		DisableFlagParsing: true, // whatever is asked for, it isn't here
		RunE: func(*cobra.Command, []string) error {
			return fmt.Errorf("it is not in this build, which is for production (tag nodev) and embeds no servers: "+
				"use go run github.com/relogin/relogin/cmd/relogin@latest %s, a build without that tag, or the image's target full", name)
		},
	}
}
