//go:build !faults

package worker

// failpoint marks a step of the pipeline at which the fault tests kill a worker that was
// built with the tag faults. In every other build it is nothing.
func failpoint(string) {}
