package console

import (
	"cmp"
	"fmt"
	"net/http"

	"golang.org/x/text/language"
)

// tongue is a language that pages are in.
type tongue string

const (
	english tongue = "en"
	chinese tongue = "zh"
)

var matcher = language.NewMatcher([]language.Tag{language.English, language.Chinese})

// tongueOf returns the language that the reader chose or, by what the browser says, prefers.
func tongueOf(r *http.Request) tongue {
	if chosen, err := r.Cookie(languageName); err == nil {
		return tongueNamed(chosen.Value)
	}
	wanted, _, err := language.ParseAcceptLanguage(r.Header.Get("Accept-Language"))
	if err != nil {
		return english
	}
	if _, best, _ := matcher.Match(wanted...); best == 1 {
		return chinese
	}
	return english
}

func tongueNamed(name string) tongue {
	if name == string(chinese) {
		return chinese
	}
	return english
}

// Tag is the language as HTML names it.
func (t tongue) Tag() string {
	if t == chinese {
		return "zh-CN"
	}
	return "en"
}

// say returns the text, a format of fmt where there are arguments, in the language.
func (t tongue) say(text string, args ...any) string {
	if t == chinese {
		text = cmp.Or(inChinese[text], verdictsInChinese[text], text)
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}
