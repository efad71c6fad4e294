//go:build linux

package hostile

import (
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/worker/job"
)

// outsiderCases are about somebody else who may publish to NATS.
func outsiderCases() []hostileCase {
	return []hostileCase{
		{
			name: "forged-events", what: "Somebody floods an account that 2,000 jobs wait for with forged events.", alone: true, short: true,
			setting: setting{confirmTimeout: 30 * time.Second},
			run: func(a *attack) {
				a.crowd(a.account(0), scaled(2000), succeeds)
				a.settled()
				a.keepOn(during(15*time.Second), 10*time.Millisecond, func(i int) { a.forge(i) })
				a.tap(a.account(0))
			},
		},
		{
			name: "forged-freed", what: "Somebody says 1,000 times a second that an account is free which 2,000 jobs wait for.", alone: true,
			setting: setting{confirmTimeout: 30 * time.Second},
			run: func(a *attack) {
				a.crowd(a.account(0), scaled(2000), succeeds)
				a.settled()
				subject := namespace + ".account.freed." + job.AccountToken(a.account(0))
				a.keepOn(during(15*time.Second), 10*time.Millisecond, func(int) {
					for range 10 {
						_ = a.conn.Publish(subject, nil) // fails at the end only
					}
				})
				a.tap(a.account(0))
			},
		},
		{
			name: "forged-acks", what: "Somebody else acknowledges, refuses and hands back jobs that pods are working on.", alone: true,
			run: func(a *attack) {
				for i := range scaled(1000) {
					j := a.job(a.account(i))
					a.send(j, endsAs(job.Succeeded, job.Unknown))
				}
				a.settled()
				for i, p := range a.ledger.snapshot() {
					if p.neighbour {
						continue
					}
					reply := fmt.Sprintf("$JS.ACK.%s.normal.1.%d.%d.%d.0", jobsStream, p.seq, p.seq, time.Now().UnixNano())
					_ = a.conn.Publish(reply, []byte([]string{"+ACK", "-NAK", "+TERM", "+WPI"}[i%4])) // fails at the end only
				}
			},
		},
		{
			name: "connections", what: "Somebody opens 500 connections to NATS, again and again.",
			run: func(a *attack) {
				a.keepOn(during(15*time.Second), 500*time.Millisecond, func(int) {
					var all []net.Conn
					for range scaled(500) {
						if conn, err := net.DialTimeout("tcp", a.nats.Addr, time.Second); err == nil {
							_, _ = conn.Write([]byte("CONNECT {}\r\nPING\r\n")) // the server closes it
							all = append(all, conn)
						}
					}
					for _, conn := range all {
						_ = conn.Close()
					}
				})
			},
		},
	}
}

// forge publishes an event that is none, under an account's subject.
func (a *attack) forge(i int) {
	account := a.account(0)
	msg := &nats.Msg{Subject: namespace + ".events.succeeded." + job.AccountToken(account), Header: nats.Header{"ce-prompted": {"true"}}}
	switch i % 4 {
	case 0:
		msg.Data = []byte("\xc1 not an event")
	case 1:
		msg.Data = []byte(`{"id":"forged","jobId":"forged","wcId":"somebody","outcome":"succeeded","login":{"wId":"forged"}}`)
		msg.Header.Set("Content-Type", "application/json")
	case 2:
		msg.Header.Set("Content-Type", "application/msgpack")
	case 3:
		msg.Header.Set(nats.MsgIdHdr, fmt.Sprint("forged-", i))
		msg.Data = make([]byte, 100<<10)
	}
	if ack, err := a.js.PublishMsg(a.ctx, msg); err == nil {
		a.ledger.forge(ack.Sequence)
	}
}
