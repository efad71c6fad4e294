package gateway

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/relogin/relogin/worker"
)

const userAgent = "relogin"

// endpoint is where connections are made to.
type endpoint struct {
	secure bool
	host   string // the name that a certificate must have
	port   string
}

// address is what is dialled.
func (e endpoint) address() string { return net.JoinHostPort(e.host, e.port) }

// form is what all requests of a tenant have in common.
type form struct {
	endpoint endpoint
	direct   bool   // it takes neither a proxy nor a name that only net/http can spell
	start    string // of the head, up to the call's path
	end      string // of the head, up to the length of the body
}

// newForm returns the form of requests to that base address.
func newForm(u *url.URL, authorization string) form {
	e := endpoint{secure: u.Scheme == "https", host: u.Hostname(), port: u.Port()}
	switch {
	case e.port == "" && e.secure:
		e.port = "443"
	case e.port == "":
		e.port = "80"
	}
	end := " HTTP/1.1\r\nHost: " + strings.TrimSuffix(u.Host, ":") + "\r\nUser-Agent: " + userAgent + "\r\nContent-Type: application/json\r\n"
	if authorization != "" {
		end += "Authorization: " + strings.Trim(authorization, " \t") + "\r\n"
	}
	through, err := proxy(&http.Request{URL: u})
	return form{
		endpoint: e,
		direct:   through == nil && err == nil && !strings.ContainsFunc(u.Host, isForeign),
		start:    "POST " + strings.TrimRight(u.EscapedPath(), "/"),
		end:      end + "Content-Length: ",
	}
}

// isForeign tells what is in the names of other scripts and in IPv6 zones.
func isForeign(r rune) bool { return r > '~' || r == '%' }

// request returns the bytes of a request.
func (f *form) request(path string, body []byte) []byte {
	const rest = len("65536\r\n\r\n")
	r := make([]byte, 0, len(f.start)+len(path)+len(f.end)+rest+len(body))
	r = append(append(append(r, f.start...), path...), f.end...)
	r = append(strconv.AppendInt(r, int64(len(body)), 10), "\r\n\r\n"...)
	return append(r, body...)
}

// secondLoginBody returns the JSON that asks for the job's confirmation.
func secondLoginBody(j *worker.Job) []byte {
	b := make([]byte, 0, len(`{"wcId":"","type":-1234567890,"ttuid":"","aid":""}`)+len(j.WcID)+len(j.TTUID)+len(j.AID))
	b = appendString(append(b, `{"wcId":`...), j.WcID)
	b = strconv.AppendInt(append(b, `,"type":`...), int64(j.Type), 10)
	if j.TTUID != "" {
		b = appendString(append(b, `,"ttuid":`...), j.TTUID)
	}
	if j.AID != "" {
		b = appendString(append(b, `,"aid":`...), j.AID)
	}
	return append(b, '}')
}

// appendString appends s as encoding/json writes it.
func appendString(b []byte, s string) []byte {
	if strings.ContainsFunc(s, needsEscape) {
		quoted, _ := json.Marshal(s) // a string never fails
		return append(b, quoted...)
	}
	return append(append(append(b, '"'), s...), '"')
}

// needsEscape tells what encoding/json may write in another way.
func needsEscape(r rune) bool {
	return r < ' ' || r > '~' || r == '"' || r == '\\' || r == '<' || r == '>' || r == '&'
}
