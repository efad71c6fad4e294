package console

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/relogin/relogin/test/servers"
)

// pages are those of the console, and a text of each in both languages.
var pages = []struct{ path, english, chinese string }{
	{"/", "Ended in the last 15 minutes", "最近 15 分钟的结果"},
	{"/account?wcId=decline-bo", "No job waits.", "没有任务在等待"},
	{"/jobs", "Phones that ask", "正在弹窗的手机"},
	{"/dead", "By reason", "按原因汇总"},
	{"/dead/1", "Body", "正文"},
	{"/dead/all?action=drop", "These are all dead letters", "以下是全部死信"},
	{"/audit", "a browser test", "操作历史"},
}

// browser returns a context of chromedp for a window of that width, with a list of what the browser
// complains of, as when a page breaks its policy.
func browser(t *testing.T, language string, width int64, scheme string) (context.Context, *complaints) {
	t.Helper()
	ctx, stop := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox)...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	c := &complaints{}
	do(ctx, t, chromedp.EmulateViewport(width, 900))
	if err := chromedp.Listen(ctx, c.see); err != nil {
		t.Fatal(err)
	}
	call(ctx, t, log.Enable, cdp.Empty{})
	call(ctx, t, network.Enable, network.EnableParams{})
	call(ctx, t, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": language}})
	prefers := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
	call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: prefers})
	return ctx, c
}

func do(ctx context.Context, t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

func value[T any](ctx context.Context, t *testing.T, a chromedp.Action[T]) T {
	t.Helper()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func call[P, R any](ctx context.Context, t *testing.T, command cdp.Command[P, R], params P) {
	t.Helper()
	if _, err := chromedp.Call(ctx, command, params); err != nil {
		t.Fatal(err)
	}
}

// shoot keeps a picture of the whole page: in RELOGIN_TEST_SHOTS where that is set, so that somebody
// can look at them, else in a directory of the test.
func shoot(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	picture := value(ctx, t, chromedp.FullScreenshot(100))
	dir := os.Getenv("RELOGIN_TEST_SHOTS")
	if dir == "" {
		dir = t.TempDir()
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o600); err != nil || len(picture) < 5000 {
		t.Errorf("picture of %s: %d bytes, %v", name, len(picture), err)
	}
}

// TestConsole looks at the console of one relogin dev.
func TestConsole(t *testing.T) {
	url := startDev(t)
	t.Run("pages", func(t *testing.T) { testPages(t, url) })
	t.Run("live updates", func(t *testing.T) { testLiveUpdates(t, url) })
	t.Run("log in", testLogIn)
	t.Run("a pause by hand", func(t *testing.T) { testPauseByHand(t, url) })
}

// Each page opens in both languages, on a phone and on a desk, fits the window, and does nothing that
// its policy forbids.
func testPages(t *testing.T, url string) {
	t.Helper()
	for _, language := range []string{"en", "zh-CN"} {
		for _, width := range []int64{390, 1280} {
			t.Run(fmt.Sprintf("%s at %d", language, width), func(t *testing.T) {
				scheme := "light"
				if language == "zh-CN" && width == 1280 {
					scheme = "dark"
				}
				ctx, complaints := browser(t, language, width, scheme)
				for _, page := range pages {
					want := page.english
					if language == "zh-CN" {
						want = page.chinese
					}
					openPage(ctx, t, url+page.path, want)
					name := regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(page.path), "-")
					shoot(ctx, t, fmt.Sprintf("%s-%d%s", language, width, name))
				}
				if all := complaints.all(); len(all) > 0 {
					t.Errorf("the browser complains: %s", strings.Join(all, "\n"))
				}
			})
		}
	}
}

// openPage opens a page, and sees that it says this, and that nothing sticks out of the window.
func openPage(ctx context.Context, t *testing.T, url, want string) {
	t.Helper()
	do(ctx, t, chromedp.Navigate(url))
	if text := value(ctx, t, chromedp.Text(chromedp.CSS("body"))); !strings.Contains(text, want) {
		t.Errorf("%s does not say %q:\n%s", url, want, text)
	}
	if over := value(ctx, t, chromedp.Evaluate[int](`document.documentElement.scrollWidth - document.documentElement.clientWidth`)); over > 0 {
		t.Errorf("%s is %d pixels wider than the window", url, over)
	}
}

// The overview follows what happens without being loaded again.
func testLiveUpdates(t *testing.T, url string) {
	t.Helper()
	ctx, _ := browser(t, "en", 1280, "light")
	do(ctx, t, chromedp.Navigate(url+"/"))
	value(ctx, t, chromedp.Evaluate[bool](`window.untouched = true`))
	pauseTenant(t, "live")
	servers.Eventually(t, "the pause to be shown", func() bool {
		return strings.Contains(value(ctx, t, chromedp.Text(chromedp.CSS("#pauses"))), "tenant live")
	})
	if !value(ctx, t, chromedp.Evaluate[bool](`window.untouched === true`)) {
		t.Error("the page was loaded again")
	}
	mustRun(t, "resume", "--tenant", "live")
}

// A person pauses a tenant, and resumes it.
func testPauseByHand(t *testing.T, url string) {
	t.Helper()
	ctx, _ := browser(t, "en", 390, "light")
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	form := `#pauses form[action="/pause"] `
	do(ctx, t, chromedp.Navigate(url+"/"),
		chromedp.Click(chromedp.CSS(`#pauses > details > summary`)),
		chromedp.SetValue(chromedp.CSS(form+`[name=scope]`), "tenant"),
		chromedp.SendKeys(chromedp.CSS(form+`[name=name]`), "by-hand"),
		chromedp.SendKeys(chromedp.CSS(form+`[name=reason]`), "a test\r"),
		chromedp.WaitVisible(chromedp.CSS(`.notice`)))
	if paused := value(ctx, t, chromedp.Text(chromedp.CSS(`#pauses`))); !strings.Contains(paused, "tenant by-hand") {
		t.Errorf("after the pause: %s", paused)
	}
	do(ctx, t, chromedp.Click(chromedp.CSS(`.pauses summary`)), chromedp.Click(chromedp.CSS(`form[action="/resume"] button`)),
		chromedp.WaitNotPresent(chromedp.CSS(`.pauses`)))
	if notice := value(ctx, t, chromedp.Text(chromedp.CSS(`.notice`))); notice != "Resumed." {
		t.Errorf("after the resume: %s", notice)
	}
}

// Who has a password logs in to relogin console, which says what is wrong before.
func testLogIn(t *testing.T) {
	url := startConsole(t, "anna", "pa55word")
	ctx, complaints := browser(t, "zh-CN", 390, "dark")
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	logIn := func(password, then string) {
		t.Helper()
		do(ctx, t, chromedp.SetValue(chromedp.CSS(`[name=name]`), "anna"), chromedp.SendKeys(chromedp.CSS(`[name=password]`), password+"\r"),
			chromedp.WaitVisible(chromedp.CSS(then)))
	}
	do(ctx, t, chromedp.Navigate(url+"/audit"))
	if all := complaints.all(); len(all) > 0 {
		t.Errorf("the browser complains: %s", strings.Join(all, "\n"))
	}
	logIn("wrong", `#problem`)
	shoot(ctx, t, "login")
	logIn("pa55word", `.who`)
	if text := value(ctx, t, chromedp.Text(chromedp.CSS("body"))); !strings.Contains(text, "操作历史") || !strings.Contains(text, "anna") {
		t.Errorf("after logging in:\n%s", text)
	}
}

// chromium skips the test where there is none.
func chromium(t *testing.T) {
	t.Helper()
	servers.SkipIfShort(t, "it starts a browser")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "headless-shell"} {
		if _, err := exec.LookPath(name); err == nil {
			return
		}
	}
	servers.Skip(t, "needs a browser: install chromium")
}
