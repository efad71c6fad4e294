package queue

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// publishRaw speaks the protocol itself: a client in another language may send header
// names that the Go library refuses to write.
func publishRaw(t *testing.T, url, subject string, header nats.Header, body []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	var head bytes.Buffer
	if len(header) > 0 {
		head.WriteString("NATS/1.0\r\n")
		for key, values := range header {
			for _, value := range values {
				if key != "" {
					fmt.Fprintf(&head, "%s: %s\r\n", key, value)
				}
			}
		}
		head.WriteString("\r\n")
	}
	fmt.Fprintf(conn, "CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB raw.reply 1\r\n")
	if head.Len() > len("NATS/1.0\r\n\r\n") {
		fmt.Fprintf(conn, "HPUB %s raw.reply %d %d\r\n%s%s\r\n", subject, head.Len(), head.Len()+len(body), head.Bytes(), body)
	} else {
		fmt.Fprintf(conn, "PUB %s raw.reply %d\r\n%s\r\n", subject, len(body), body)
	}
	for lines := bufio.NewReader(conn); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case strings.HasPrefix(line, "-ERR"), strings.Contains(line, `"error"`):
			t.Fatalf("publish: %s", line)
		case strings.Contains(line, `"seq"`):
			return
		}
	}
}
