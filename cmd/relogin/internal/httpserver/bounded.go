package httpserver

import (
	"net"
	"net/http"
	"slices"
	"sync"
)

// boundConns returns what closes the oldest connection of a server, as its ConnState, where
// more than limit are open. A listener that does not accept while so many are open would let
// slow clients shut out the health check, and have a good pod restarted.
func boundConns(limit int) func(net.Conn, http.ConnState) {
	var mu sync.Mutex
	var open []net.Conn // the oldest first
	return func(c net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		switch state {
		case http.StateNew:
			if open = append(open, c); len(open) > limit {
				_ = open[0].Close()
				open = slices.Delete(open, 0, 1)
			}
		case http.StateClosed:
			open = slices.DeleteFunc(open, func(o net.Conn) bool { return o == c })
		case http.StateActive, http.StateIdle, http.StateHijacked: // open still; nothing hijacks
		}
	}
}
