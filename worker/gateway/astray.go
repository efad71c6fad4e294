package gateway

import (
	"bytes"
	"context"
	"fmt"
	"mime"
	"net/http"
	"slices"
)

// explain says what a reply looks like that is not understood, and asks for the address
// where it is likely to be wrong. The log does that once for an address.
func (c *Client) explain(ctx context.Context, t *tenant, resp *http.Response, body []byte, bodyBytes int64) string {
	seen := describe(resp, bodyBytes)
	likely := astray(resp, body)
	if likely == "" {
		return seen
	}
	seen += ": " + likely + ": is " + t.setting + " right?"
	if !t.astray.Swap(true) {
		c.log.WarnContext(ctx, "what answers at the gateway's address may not be a gateway: jobs end as unknown",
			"tenant", t.name, "address", t.url, "reply", seen)
	}
	return seen
}

// astray says what a reply is that no gateway gives; "" if it may be a gateway's.
func astray(resp *http.Response, body []byte) string {
	switch code := resp.StatusCode; {
	case code == http.StatusNotFound, code == http.StatusMethodNotAllowed, code == http.StatusGone:
		return "nothing takes a second login there"
	case code/100 == 3:
		return "it redirects, and redirects are not followed"
	case code/100 == 2 && (contentType(resp) == "text/html" || bytes.HasPrefix(bytes.TrimLeft(body, "\ufeff \t\r\n"), []byte("<"))):
		return "it is a web page, of another server, a proxy or a login"
	}
	return ""
}

// describe says what a reply looks like, and shows nothing of what the gateway wrote:
// logins are in there, and some gateways repeat the credential.
func describe(resp *http.Response, bodyBytes int64) string {
	return fmt.Sprintf("HTTP %d, %s, %d bytes", resp.StatusCode, contentType(resp), bodyBytes)
}

func contentType(resp *http.Response) string {
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if !slices.Contains(usualMedia, media) {
		return "of no usual content type"
	}
	return media
}

var usualMedia = []string{
	"application/json", "application/problem+json", "application/xml", "text/html", "text/json", "text/plain", "text/xml",
}
