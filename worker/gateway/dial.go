package gateway

import (
	"math/rand/v2"
	"net"
	"time"
)

const (
	dialTimeout      = 5 * time.Second
	handshakeTimeout = 5 * time.Second

	// A connection takes no new call once it is older than maxAge and up to ageJitter more:
	// a change in DNS counts within that time, and connections do not all end at once. A
	// call that is open goes on.
	maxAge    = time.Minute
	ageJitter = time.Minute / 2

	// userTimeout is how long written bytes may stay unacknowledged on Linux, where it would
	// be a quarter of an hour. It also ends the keep-alive probes of a silent connection, so
	// it is as long as these take in Go: 15 s, and 9 probes of 15 s. A gateway that waits for
	// a person acknowledges both, and a cut of the network that is mended meanwhile costs no
	// reply.
	userTimeout = 150 * time.Second
)

// newDialer returns what makes all connections to gateways and proxies.
func newDialer() net.Dialer { return net.Dialer{Timeout: dialTimeout, Control: setUserTimeout} }

// endOfLife returns when a connection that is made now takes no more calls.
func endOfLife() time.Time { return time.Now().Add(maxAge + rand.N(ageJitter)) }
