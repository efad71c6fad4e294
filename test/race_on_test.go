//go:build race

package test

// buildFlags are those of the binary under test: with the race detector when the tests have it.
var buildFlags = []string{"-race"}
