package console

import (
	"crypto/sha256"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/securecookie"
)

const (
	sessionCookie = "relogin_session"
	languageName  = "relogin_language"
	sessionAge    = 12 * time.Hour
	minSecret     = 32
)

// session is what the cookie says. It names the user's hash, so that a new password ends old sessions.
type session struct {
	Name string
	Hash [sha256.Size]byte
}

func newCookies(secret string) *securecookie.SecureCookie {
	key := sha256.Sum256([]byte("relogin console session\x00" + secret))
	if secret == "" {
		copy(key[:], securecookie.GenerateRandomKey(len(key)))
	}
	return securecookie.New(key[:], nil).MaxAge(int(sessionAge.Seconds()))
}

// isSecure tells whether the browser speaks TLS, to this server or to a proxy before it.
func isSecure(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

func (c *Console) beginSession(w http.ResponseWriter, r *http.Request, u *User) error {
	value, err := c.cookies.Encode(sessionCookie, session{u.Name, sha256.Sum256([]byte(u.Hash))})
	if err == nil {
		http.SetCookie(w, cookie(r, sessionCookie, value, sessionAge))
	}
	return err
}

func endSession(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, cookie(r, sessionCookie, "", -time.Second))
}

func cookie(r *http.Request, name, value string, age time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(age.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: isSecure(r),
	}
}

// userOf returns who sends the request, nil for nobody.
func (c *Console) userOf(r *http.Request) *User {
	if len(c.Users) == 0 {
		return &User{Name: c.By, Role: Operator}
	}
	sent, err := r.Cookie(sessionCookie)
	if err != nil {
		return nil
	}
	var s session
	if c.cookies.Decode(sessionCookie, sent.Value, &s) != nil {
		return nil
	}
	u := c.Users.named(s.Name)
	if u == nil || sha256.Sum256([]byte(u.Hash)) != s.Hash {
		return nil
	}
	return u
}

// isLoopback tells whether a host, with or without a port, is this machine by a name that nobody
// else can give to an address.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
