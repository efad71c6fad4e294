package gateway

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/relogin/relogin/worker/job"
)

// proxy is [http.ProxyFromEnvironment] with an error that does not repeat the
// proxy's address: a password may be in it.
func proxy(req *http.Request) (*url.URL, error) {
	u, err := http.ProxyFromEnvironment(req)
	if err != nil {
		return nil, errors.New("HTTP_PROXY, HTTPS_PROXY or NO_PROXY is not valid")
	}
	return u, nil
}

// header is what all requests with that credential have.
func header(authorization string) http.Header {
	h := http.Header{"Content-Type": {"application/json"}, "User-Agent": {"relogin"}}
	if authorization != "" {
		h.Set("Authorization", authorization)
	}
	return h
}

// secondLoginBody returns the JSON that asks for the job's confirmation.
func secondLoginBody(j *job.Job) []byte {
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
