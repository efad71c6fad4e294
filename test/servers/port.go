package servers

import (
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
)

// FreeAddr returns an address of loopback, host:port, that nobody listens on.
func FreeAddr(tb testing.TB) string {
	tb.Helper()
	return loopback(FreePort(tb))
}

// FreePort returns a port of loopback that nobody listens on. It is not reserved; but this
// process is not given it again for thousands of calls, and systems give none from its range to outgoing connections.
func FreePort(tb testing.TB) int {
	tb.Helper()
	port, err := freePort()
	if err != nil {
		tb.Fatal(err)
	}
	return port
}

// givenPorts are the last that this process was given. A server that is about to start does not
// listen yet: two that started at once had the same port, and one cluster took the other's node.
var givenPorts struct {
	sync.Mutex
	last []int
}

// freePort returns a port below those that systems give to outgoing connections, and so is
// the one 10000 above it, which the nodes of a Redis Cluster use. The tests beside this one
// have thousands of such connections, and one could take the port before its server starts.
func freePort() (int, error) {
	const first, count = 12000, 10000
	givenPorts.Lock()
	defer givenPorts.Unlock()
	if len(givenPorts.last) == count/2 {
		givenPorts.last = givenPorts.last[1:]
	}
	for {
		port := first + rand.IntN(count)
		if slices.Contains(givenPorts.last, port) {
			continue
		}
		l, err := net.Listen("tcp", loopback(port))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return 0, err
		}
		givenPorts.last = append(givenPorts.last, port)
		return port, l.Close()
	}
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
