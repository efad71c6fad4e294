package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	dialTimeout      = 5 * time.Second
	handshakeTimeout = 5 * time.Second
	idleTimeout      = 10 * time.Second

	snippetBytes = 80 // of a reply, shown in an error
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

// post sends body to the tenant's path and returns the reply, of whatever status; the
// caller closes its body. The request gets out only through the gate. Only ctx bounds
// the time it takes.
func (c *Client) post(ctx context.Context, t *tenant, path string, body []byte, g *gate) (*http.Response, error) {
	req, err := http.NewRequestWithContext(g.attach(ctx), http.MethodPost, t.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	// net/http asks for the body once more when it is about to repeat the request.
	req.GetBody = func() (io.ReadCloser, error) {
		if err := g.mayRepeat(); err != nil {
			return nil, err
		}
		return io.NopCloser(bytes.NewReader(body)), nil
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "relogin")
	if t.authorization != "" {
		req.Header.Set("Authorization", t.authorization)
	}
	return c.transport.RoundTrip(req) // no http.Client: it follows redirects
}

// describe says what a reply looks like, for an error. Of the body it shows a few
// words, and none from where JSON may begin: logins are in there.
func describe(resp *http.Response, body []byte, t *tenant) string {
	text := fmt.Sprintf("HTTP %d, %s, %d bytes", resp.StatusCode, contentType(resp), len(body))
	plain := string(body)
	if i := strings.IndexAny(plain, "{[\""); i >= 0 {
		plain = plain[:i]
	}
	if t.authorization != "" {
		plain = strings.ReplaceAll(plain, t.authorization, "[redacted]")
	}
	plain = strings.TrimSpace(strings.ToValidUTF8(plain, ""))
	if plain == "" {
		return text
	}
	return fmt.Sprintf("%s, begins with %q", text, cut(plain, snippetBytes))
}

func contentType(resp *http.Response) string {
	if s := resp.Header.Get("Content-Type"); s != "" {
		return fmt.Sprintf("%q", cut(s, snippetBytes))
	}
	return "no content type"
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
