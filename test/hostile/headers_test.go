//go:build linux

package hostile

import (
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/worker/job"
)

// headerCases are about what a message has in it.
func headerCases() []hostileCase {
	return []hostileCase{
		{
			name: "poison-traceparent", what: "114 jobs carry a traceparent of 30 KiB that triples when it is escaped; a pod has 64 slots.",
			alone: true, short: true, setting: setting{concurrency: 64},
			run: func(a *attack) {
				for i := range 114 {
					a.sendWith(a.account(i), nats.Header{"traceparent": {strings.Repeat("\xff", 30<<10)}}, succeeds)
				}
			},
		},
		{
			name: "hostile-headers", what: "Jobs carry headers that mean something to NATS or HTTP.",
			run: func(a *attack) {
				for i := range scaled(500) {
					a.sendWith(a.account(i), hostileHeaders[i%len(hostileHeaders)], succeeds)
				}
			},
		},
		{
			name: "many-headers", what: "Jobs carry 500 headers each, of 50 KiB.",
			run: func(a *attack) {
				header := nats.Header{}
				for i := range 500 {
					header.Set(fmt.Sprint("X-Header-", i), strings.Repeat("h", 80))
				}
				a.floodAt(100, scaled(500), func(i int) { a.sendWith(a.account(i), header, succeeds) })
			},
		},
		{
			name: "large-letters", what: "Messages that are no jobs carry 60 KiB of headers into the dead letters.",
			run: func(a *attack) {
				header := nats.Header{"X-Large": {strings.Repeat("h", 60<<10)}}
				a.floodAt(100, scaled(500), func(int) {
					a.post(&nats.Msg{Subject: jobSubject(job.Normal), Header: header, Data: []byte("\xc1")}, "", "", unreadable)
				})
			},
		},
		{
			name: "huge-ids", what: "Jobs without ids have a Nats-Msg-Id of 40 KiB.",
			run: func(a *attack) {
				for i := range scaled(300) {
					id := fmt.Sprint(strings.Repeat("i", 40<<10), i)
					body := fmt.Sprintf(`{"wcId":%q}`, a.account(i))
					a.post(&nats.Msg{Subject: jobSubject(job.Normal), Header: nats.Header{nats.MsgIdHdr: {id}}, Data: []byte(body)},
						a.account(i), "", isInvalid)
				}
			},
		},
		{
			name: "garbled-text", what: "Jobs have NUL bytes and broken UTF-8 in their names and labels.",
			run: func(a *attack) {
				for i := range scaled(500) {
					j := a.job(a.account(i))
					if i%2 == 0 {
						j.TTUID = "nul\x00byte"
					} else {
						j.Labels = map[string]string{"label": "\xff\xfe\xfd"}
					}
					a.send(j, isInvalid)
					a.post(&nats.Msg{Subject: jobSubject(job.Normal), Data: []byte("{\"wcId\":\"\xff\x00\"}")}, "", "", unreadable)
				}
			},
		},
		{
			name: "seconds", what: "Deadlines are in Unix seconds, not milliseconds.",
			run: func(a *attack) {
				for i := range scaled(200) {
					j := a.job(a.account(i))
					body := fmt.Sprintf(`{"wcId":%q,"id":%q,"deadline":%d}`, j.WcID, j.ID, time.Now().Add(time.Hour).Unix())
					a.post(&nats.Msg{Subject: jobSubject(job.Normal), Data: []byte(body)}, j.WcID, j.ID, isInvalid)
				}
			},
		},
		{
			name: "odd-accounts", what: "Accounts have names of 128 bytes, with dots, stars, braces, spaces and 微信.", short: true,
			run: func(a *attack) {
				for i := range scaled(300) {
					account := fmt.Sprintf("%s %s", a.account(i), oddNames[i%len(oddNames)])
					a.send(a.job(account[:min(128, len(account))]), succeeds)
				}
			},
		},
	}
}

var hostileHeaders = []nats.Header{
	{"Status": {"404"}, "Description": {"No Messages"}},
	{"Status": {"100"}},
	{"Status": {"409"}, "Description": {"Consumer Deleted"}},
	{"Nats-Stream": {"X"}, "Nats-Sequence": {"1"}, "Nats-Last-Sequence": {"0"}},
	{"Nats-Pending-Messages": {"-1"}, "Nats-Num-Pending": {"999999"}},
	{"Nats-Marker-Reason": {"MaxAge"}},
	{"Nats-Consumer-Stalled": {"x"}},
	{"Content-Type": {"text/html; charset=utf-8"}},
	{"Content-Type": {strings.Repeat("application/x-", 1000)}},
	{"Content-Type": {"application/msgpack", "application/json"}},
	{"Relogin-Reason": {"forged"}, "Relogin-Sequence": {"1"}},
	{"ce-prompted": {"true"}, "ce-id": {"forged"}},
	{"traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "twice"}},
	{"traceparent": {"not a trace"}},
}

var oddNames = []string{
	"a.b.c", "*", ">", "{x}", "}{", "微信号", "a\u00a0b", "$JS.API", "..", "/", "%41", `"quoted"`, "'", "`$(x)`", strings.Repeat("w", 128), "~fg",
}

// sendWith publishes a job with headers.
func (a *attack) sendWith(account string, header nats.Header, e ends) {
	j := a.job(account)
	data, err := j.Encode(job.EncodingMsgpack)
	if err != nil {
		a.fails("%v", err)
		return
	}
	a.post(&nats.Msg{Subject: jobSubject(job.Normal), Header: header, Data: data}, j.WcID, j.ID, e)
}
