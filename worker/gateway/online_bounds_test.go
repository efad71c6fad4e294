package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relogin/relogin/test/servers"
)

// generated is text that is made as it is read: what a test counts is the reader's memory.
type generated struct {
	next func() string // "" ends it
	rest string
}

func (g *generated) Read(p []byte) (int, error) {
	if g.rest == "" {
		g.rest = g.next()
	}
	if g.rest == "" {
		return 0, io.EOF
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}

// times gives a piece of text so many times.
func times(n int, piece func(i int) string) io.Reader {
	i := -1
	return &generated{next: func() string {
		if i++; i < n {
			return piece(i)
		}
		return ""
	}}
}

func constant(s string) func(int) string { return func(int) string { return s } }

// listOf is a list with something in front of one good entry.
func listOf(before io.Reader) io.Reader {
	return io.MultiReader(strings.NewReader(`{"code":1000,"data":[`), before, strings.NewReader(`{"wcId":"good","wId":"1"}]}`))
}

// TestHugeLists are lists up to the bound of what is read: few of them have an end that
// can be reached, and none takes much memory.
func TestHugeLists(t *testing.T) {
	servers.SkipIfShort(t, "it reads lists of up to a million accounts")
	mega := strings.Repeat("x", 1<<20)
	account := func(i int) string { return fmt.Sprintf(`{"wcId":"wxid_%012d","wId":"%036d"},`, i, i) }
	tests := map[string]struct {
		list io.Reader
		good bool
	}{
		"100,000 accounts":           {listOf(times(100_000, account)), true},
		"600,000 accounts":           {listOf(times(600_000, account)), false},
		"one account, 800,000 times": {listOf(times(800_000, constant(`{"wcId":"a","wId":"1"},`))), true},
		"longest accounts":           {listOf(times(100_000, func(i int) string { return fmt.Sprintf(`{"wcId":"%0128d","wId":"%0256d"},`, i, i) })), false},
		"a wId of 60 MiB":            {listOf(io.MultiReader(strings.NewReader(`{"wcId":"bad","wId":"`), times(60, constant(mega)), strings.NewReader(`"},`))), true},
		"a text of 60 MiB":           {listOf(io.MultiReader(strings.NewReader(`"`), times(60, constant(mega)), strings.NewReader(`",`))), true},
		"a number of 60 MiB":         {listOf(io.MultiReader(times(60, constant(strings.ReplaceAll(mega, "x", "7"))), strings.NewReader(`,`))), false},
		"an entry of 60 MiB":         {listOf(io.MultiReader(strings.NewReader(`{"x":[1`), times(60, constant(strings.ReplaceAll(mega, "xx", ",1"))), strings.NewReader(`]},`))), false},
		"white space of 60 MiB":      {listOf(times(60, constant(strings.ReplaceAll(mega, "x", " ")))), false},
		"brackets without end":       {listOf(times(70, constant(strings.ReplaceAll(mega, "x", "[")))), false},
		"an entry without end":       {listOf(times(70, constant(`{"wcId":"`+mega))), false},
		"a million members":          {io.MultiReader(strings.NewReader(`{"code":1000`), times(1<<20, constant(`,"more":[1,2,3]`)), strings.NewReader(`,"data":[{"wcId":"good","wId":"1"}]}`)), true},
		"a key of 60 MiB":            {io.MultiReader(strings.NewReader(`{"code":1000,"`), times(60, constant(mega)), strings.NewReader(`":1,"data":[{"wcId":"good","wId":"1"}]}`)), true},
		"another value of 60 MiB":    {io.MultiReader(strings.NewReader(`{"code":1000,"more":[1`), times(60, constant(strings.ReplaceAll(mega, "xx", ",1"))), strings.NewReader(`],"data":[]}`)), false},
		"over 64 MiB":                {listOf(times(70, constant(`"`+mega+`",`))), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			checkPeak(t, 64, func() {
				list, err := decodeList(tt.list, maxList)
				if (err == nil) != tt.good || tt.good && list["good"] != "1" {
					t.Errorf("%d entries, %v", len(list), err)
				}
			})
		})
	}
}

// TestLongEntriesArePassedOver: the others are found.
func TestLongEntriesArePassedOver(t *testing.T) {
	for _, n := range []int{257, 5000, 100_000, 3 << 20} {
		long := strings.Repeat("x", n)
		list, err := decodeList(strings.NewReader(fmt.Sprintf(
			`{"code":1000,"data":[{"wcId":"a","wId":"1"},{"wcId":"b","wId":"%[1]s"},{"wcId":"%[1]s","wId":"2"},{"wcId":"c","wId":"3","nickName":"%[1]s"}]}`, long)), maxList)
		if got := fmt.Sprint(list); err != nil || got != "map[a:1 c:3]" {
			t.Errorf("with %d bytes: %.100s, %v", n, got, err)
		}
	}
}

// TestLargeListIsNotReadAgain: reading one takes a second of a core, so the tenant's other
// callers learn for a while what the first one did, whenever they asked from.
func TestLargeListIsNotReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := newOnlineList()
		fetches := 0
		get := func() {
			t.Helper()
			_, err := list.get(t.Context(), time.Now(), func(context.Context) (map[string]string, error) {
				fetches++
				return decodeList(listOf(times(70, constant(`"`+strings.Repeat("x", 1<<10)+`",`))), 64<<10)
			})
			if !errors.Is(err, errLargeList) {
				t.Errorf("got %v", err)
			}
		}
		for range 100 {
			get()
			time.Sleep(largeListAge / 100)
		}
		if get(); fetches != 2 {
			t.Errorf("%d fetches, want one, and another after %v", fetches, largeListAge)
		}
	})
}
