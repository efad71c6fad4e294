//go:build !unix

package postonce

import "net"

// canReuse is false where silent can't know: connections serve one call.
const canReuse = false

func silent(net.Conn, []byte) bool { return false }
