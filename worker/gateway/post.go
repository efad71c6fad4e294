package gateway

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	idleTimeout = 10 * time.Second

	minSecretBytes = 7 // what is shorter, such as a scheme, is hidden in no text
)

// call is one request to a tenant's gateway.
type call struct {
	tenant     *tenant
	path       string // below the tenant's address
	body       []byte
	beforeSend func() error // is called right before the first byte is written; its error forbids that
	started    bool         // some of the request may have got out; post sets it
}

// post makes the call and returns the reply, of whatever status; the caller closes its
// body. Only ctx bounds the time it takes.
func (c *Client) post(ctx context.Context, one *call) (*http.Response, error) {
	if one.tenant.direct {
		return c.pool.exchange(ctx, one)
	}
	return c.relay(ctx, one)
}

// describe says what a reply looks like, for an error. Of what the gateway wrote it shows
// nothing: logins are in there, and some gateways repeat the credential.
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

// newRedactor hides the credential, with or without its scheme, in what the gateway wrote.
func newRedactor(authorization string) *strings.Replacer {
	var pairs []string
	for _, secret := range append([]string{authorization}, strings.Fields(authorization)...) {
		if len(secret) >= minSecretBytes {
			pairs = append(pairs, secret, "[redacted]")
		}
	}
	return strings.NewReplacer(pairs...)
}

// cut returns the first n bytes of s at most, and no half character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
