package console

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
		"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	maxForm = 64 << 10
	maxName = 128 // bytes of a user's, as it is tried
)

// Handler returns all pages, with what protects them.
func (c *Console) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /static/", http.FileServerFS(files))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /login", c.showLogin)
	mux.HandleFunc("POST /login", c.logIn)
	mux.HandleFunc("POST /logout", c.logOut)
	mux.HandleFunc("POST /language", c.setLanguage)
	for pattern, show := range map[string]func(*view) error{
		"GET /{$}": c.showOverview, "GET /account": c.showAccount, "GET /jobs": c.showJobs,
		"GET /dead": c.showDead, "GET /dead/{sequence}": c.showLetter, "GET /audit": c.showAudit,
	} {
		mux.Handle(pattern, c.page(show, Viewer))
	}
	mux.Handle("GET /dead/all", c.page(c.showPreview, Operator))
	for pattern, change := range map[string]func(*view) (string, error){
		"POST /pause": c.pause, "POST /resume": c.resume, "POST /dead/{sequence}": c.changeLetter, "POST /dead/all": c.changeLetters,
	} {
		mux.Handle(pattern, c.page(c.changing(change), Operator))
	}
	return c.guard(c.protected.Handler(mux))
}

// guard sets the headers of every reply, and refuses what comes by a name that a stranger's page
// could have given to this machine, where no password protects it.
func (c *Console) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if strings.HasPrefix(r.URL.Path, "/static/") {
			h.Set("Cache-Control", "no-cache")
		} else {
			h.Set("Cache-Control", "no-store")
		}
		if len(c.Users) == 0 && !isLoopback(r.Host) {
			http.Error(w, "Without --users-file only requests to localhost are answered.", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		next.ServeHTTP(w, r)
	})
}

// view is a page that somebody asks for.
type view struct {
	w    http.ResponseWriter
	r    *http.Request
	user *User // nil: nobody has logged in
	lang tongue
}

// failure is an error with the status of the reply.
type failure struct {
	status int
	text   string
}

func (f failure) Error() string { return f.text }

// page serves a page to users of that role. Others are asked to log in.
func (c *Console) page(show func(*view) error, role Role) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &view{w, r, c.userOf(r), tongueOf(r)}
		if v.user == nil {
			back := "/"
			if r.Method == http.MethodGet {
				back = r.URL.RequestURI()
			}
			http.Redirect(w, r, "/login?back="+url.QueryEscape(back), http.StatusSeeOther)
			return
		}
		err := error(failure{http.StatusForbidden, "Only operators may do this."})
		if role == Viewer || v.user.Role == Operator {
			err = show(v)
		}
		if err != nil {
			c.fail(v, err)
		}
	})
}

// fail shows the error.
func (c *Console) fail(v *view, err error) {
	var f failure
	switch {
	case errors.As(err, &f):
	case errors.Is(err, context.Canceled) && v.r.Context().Err() != nil:
		return // nobody reads it
	default:
		c.Log.Warn("the console can't show a page", "path", v.r.URL.Path, "error", err)
		f = failure{http.StatusBadGateway, err.Error()}
	}
	c.render(v, f.status, "error", "Error", f.text)
}

func (c *Console) showLogin(w http.ResponseWriter, r *http.Request) {
	v := &view{w, r, c.userOf(r), tongueOf(r)}
	back := localPath(r.FormValue("back"))
	if v.user != nil {
		http.Redirect(w, r, back, http.StatusSeeOther)
		return
	}
	c.render(v, http.StatusOK, "login", "Log in", loginForm{Back: back})
}

type loginForm struct{ Back, Name, Problem string }

func (c *Console) logIn(w http.ResponseWriter, r *http.Request) {
	v := &view{w, r, nil, tongueOf(r)}
	form := loginForm{Back: localPath(r.PostFormValue("back")), Name: cut(r.PostFormValue("name"), maxName)}
	if len(c.Users) == 0 {
		http.Redirect(w, r, form.Back, http.StatusSeeOther)
		return
	}
	address, _, _ := net.SplitHostPort(r.RemoteAddr)
	if !c.attempts.allow(address, form.Name) {
		w.Header().Set("Retry-After", "10")
		form.Problem = "Too many attempts: wait a little."
		c.render(v, http.StatusTooManyRequests, "login", "Log in", form)
		return
	}
	u := c.Users.login(form.Name, r.PostFormValue("password"))
	if u == nil {
		c.Log.Warn("log-in to the console refused", "name", form.Name, "address", address)
		form.Problem = "Name or password is wrong."
		c.render(v, http.StatusUnauthorized, "login", "Log in", form)
		return
	}
	if err := c.beginSession(w, r, u); err != nil {
		c.fail(v, err)
		return
	}
	c.Log.Info("log-in to the console", "name", u.Name, "role", string(u.Role), "address", address)
	http.Redirect(w, r, form.Back, http.StatusSeeOther)
}

func (c *Console) logOut(w http.ResponseWriter, r *http.Request) {
	endSession(w, r)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

func (c *Console) setLanguage(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, cookie(r, languageName, string(tongueNamed(r.PostFormValue("to"))), 365*24*time.Hour))
	http.Redirect(w, r, localPath(r.PostFormValue("back")), http.StatusSeeOther)
}

// localPath returns a path of this server, whatever a link says.
func localPath(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}
