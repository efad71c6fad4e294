package console

import (
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Pages are in the language that the browser prefers, unless the reader has chosen one.
func TestLanguages(t *testing.T) {
	w := newWorld(t)
	for accept, want := range map[string]string{"": "en", "en-GB": "en", "fr, zh;q=0.5": "zh-CN", "zh-CN, en;q=0.5": "zh-CN", "zh-TW": "zh-CN", "zh;q=0.1, en": "en", "*,": "en", ";;;": "en"} {
		if body := w.get("/audit", "Accept-Language", accept); !strings.Contains(body, `<html lang="`+want+`">`) {
			t.Errorf("%q is not answered in %s", accept, want)
		}
	}
	reply, body := w.do(http.MethodPost, "/language", url.Values{"to": {"zh"}, "back": {"/audit"}})
	if reply.Request.URL.Path != "/audit" || !strings.Contains(body, "操作记录") {
		t.Errorf("after choosing Chinese: %s\n%s", reply.Request.URL, body)
	}
	if body := w.get("/audit", "Accept-Language", "en"); !strings.Contains(body, "操作记录") {
		t.Error("the choice is forgotten")
	}
}

// Whatever a page says is said in Chinese, too, with the same arguments.
func TestEverythingIsTranslated(t *testing.T) {
	texts := map[string]bool{}
	said := regexp.MustCompile(`\.T "([^"]+)"|\.Nav "[^"]+" "[^"]+" "([^"]+)"`)
	err := fs.WalkDir(files, "templates", func(path string, one fs.DirEntry, err error) error {
		if err != nil || one.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, path)
		for _, found := range said.FindAllStringSubmatch(string(data), -1) {
			texts[found[1]+found[2]] = true
		}
		return err
	})
	if err != nil || len(texts) < 50 {
		t.Fatalf("%d texts, %v", len(texts), err)
	}
	for _, all := range []map[string]string{words, notices} {
		for _, text := range all {
			texts[text] = true
		}
	}
	find(t, texts, "*.go", `failure\{http\.Status\w+, "([^"]+)"|Problem = "([^"]+)"`)
	find(t, texts, "../cockpit/*.go", `(?:say\(\w+, |phrase\(|\.to\(|WaitsFor\w+: +\{)"([^"]+)"|WaitsFor\w+: +\{"[^"]+", "([^"]+)"`)
	numbered := regexp.MustCompile(`%\[(\d)\]`)
	verbs := regexp.MustCompile(`%[a-z]`)
	for text := range texts {
		if strings.HasPrefix(text, "relogin ") {
			continue // a command
		}
		translated := chinese.say(text)
		if translated == text && text != "Pod" && text != "Pods" {
			t.Errorf("%q is not translated", text)
		}
		want, got := verbs.FindAllString(text, -1), verbs.FindAllString(numbered.ReplaceAllString(translated, "%"), -1)
		if numbered.MatchString(translated) { // they come in another order
			slices.Sort(want)
			slices.Sort(got)
		}
		if !slices.Equal(want, got) {
			t.Errorf("%q and %q have other arguments", text, translated)
		}
	}
}

// find adds the texts that the pattern finds in sources, in one of its two groups.
func find(t *testing.T, texts map[string]bool, sources, pattern string) {
	t.Helper()
	paths, err := filepath.Glob(sources)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(data), -1) {
			texts[found[1]+found[2]] = true
			n++
		}
	}
	if n < 10 {
		t.Errorf("%d texts were found in %s: is the pattern still right?", n, sources)
	}
}
