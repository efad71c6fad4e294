package gateway

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

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
	body, _ := json.Marshal(&struct { // strings and a number never fail
		WcID  string `json:"wcId"`
		Type  int    `json:"type"`
		TTUID string `json:"ttuid,omitempty"`
		AID   string `json:"aid,omitempty"`
	}{j.WcID, j.Type, j.TTUID, j.AID})
	return body
}
