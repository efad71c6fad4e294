package gatewaytest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestFaultsOnTheWire(t *testing.T) {
	s := NewServer(Options{ConfirmAfter: time.Hour})
	defer s.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	post := func(wcID string) ([]byte, error) {
		resp, err := client.Post(s.URL+"/secondLogin", "application/json", strings.NewReader(`{"wcId":"`+wcID+`"}`))
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		return io.ReadAll(resp.Body)
	}
	if _, err := post("reset-1"); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("reset: %v", err)
	}
	if body, err := post("half-1"); !errors.Is(err, io.ErrUnexpectedEOF) || len(body) == 0 {
		t.Errorf("half: %q, %v", body, err)
	}
	if body, err := post("huge-1"); err != nil || len(body) < hugeReply {
		t.Errorf("huge: %d bytes, %v", len(body), err)
	}
	if st := s.Stats(); st.Open != 3 {
		t.Errorf("%d prompts are open, want 3", st.Open)
	}
}

func TestPages(t *testing.T) {
	s := NewServer(Options{})
	defer s.Close()
	for _, wcID := range []string{"a", "b"} {
		login(t.Context(), s.Gateway, wcID)
	}
	get := func(path string) io.ReadCloser {
		resp, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		return resp.Body
	}
	body := get("/stats")
	defer body.Close()
	var stats Stats
	if err := json.NewDecoder(body).Decode(&stats); err != nil || stats.Prompts != 2 {
		t.Errorf("stats %+v, %v", stats, err)
	}
	body = get("/prompts?wcId=b")
	defer body.Close()
	lines := bufio.NewScanner(body)
	var p Prompt
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &p) != nil || p.WcID != "b" || p.Answer != Confirm || lines.Scan() {
		t.Errorf("prompt %+v, %v", p, lines.Err())
	}
}

func TestCloseCutsCallersOff(t *testing.T) {
	s := NewServer(Options{ConfirmAfter: time.Hour})
	failed := make(chan error)
	for _, wcID := range []string{"a", "hang-a"} {
		go func() {
			resp, err := http.Post(s.URL+"/secondLogin", "application/json", strings.NewReader(`{"wcId":"`+wcID+`"}`))
			if err == nil {
				resp.Body.Close()
			}
			failed <- err
		}()
		if err := s.WaitOpen(t.Context(), wcID); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	for range 2 {
		if err := <-failed; err == nil {
			t.Error("got a reply from a closed gateway")
		}
	}
	if _, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://")); err == nil {
		t.Error("still listening")
	}
}

func Example() {
	gw := NewServer(Options{})
	defer gw.Close()
	gw.Set("wxid_1", Behaviour{Answer: Decline})

	resp, err := http.Post(gw.URL+"/secondLogin", "application/json", strings.NewReader(`{"wcId": "wxid_1", "type": 2}`))
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	reply, _ := io.ReadAll(resp.Body)
	fmt.Print(string(reply))
	fmt.Println("prompts:", gw.Account("wxid_1").Prompts)
	// Output:
	// {"message":"失败","code":"1001","data":null}
	// prompts: 1
}
