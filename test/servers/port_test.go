package servers

import "testing"

// Servers that start at once, and do not listen yet, have ports of their own.
func TestFreePortsDiffer(t *testing.T) {
	seen := map[int]bool{}
	for range 1000 {
		port := FreePort(t)
		if seen[port] {
			t.Fatalf("port %d was given twice", port)
		}
		seen[port] = true
	}
}
