package main

import "github.com/spf13/cobra"

func newSubmitCommand(*app) *cobra.Command {
	return &cobra.Command{Use: "submit", Short: "(being written)", RunE: func(*cobra.Command, []string) error { return errReported }}
}
