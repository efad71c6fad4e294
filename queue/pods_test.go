package queue

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/test/servers"
)

type podAnswer struct {
	Pod   string
	About string
}

// served has a pod of that name answer until the test ends, and returns what it was told to look at.
func served(t *testing.T, url, pod string) (looked <-chan string) {
	t.Helper()
	told := make(chan string, 10)
	stop, err := ServePod(t.Context(), connect(t, url), "", PodService{
		Pod: pod, Version: "v1.2", // no semantic one
		State:     func() any { return podAnswer{Pod: pod} },
		Account:   func(wcID string) any { return podAnswer{pod, wcID} },
		LookAgain: func(wcID, jobID string) { told <- wcID + "/" + jobID },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return told
}

func TestPodsAnswer(t *testing.T) {
	t.Parallel()
	url := servers.NATS(t)
	nc := connect(t, url)
	if pods, err := AskPods[podAnswer](t.Context(), nc, ""); err != nil || len(pods) > 0 {
		t.Errorf("without pods: %v, %v", pods, err)
	}
	var looks []<-chan string
	for i := range 20 {
		looks = append(looks, served(t, url, fmt.Sprint("pod-", i)))
	}
	pods, err := AskPods[podAnswer](t.Context(), nc, "")
	slices.SortFunc(pods, func(a, b podAnswer) int { return strings.Compare(a.Pod, b.Pod) })
	if pods = slices.Compact(pods); err != nil || len(pods) != 20 {
		t.Errorf("of 20 pods: %v, %v", pods, err)
	}
	if pods, err = AskPodsAbout[podAnswer](t.Context(), nc, "", "微信"); err != nil || len(pods) != 20 || pods[0].About != "微信" {
		t.Errorf("about an account: %v, %v", pods, err)
	}
	if pods, err = AskPods[podAnswer](t.Context(), nc, "other"); err != nil || len(pods) > 0 {
		t.Errorf("of another namespace: %v, %v", pods, err)
	}
	if err := TellPods(nc, "", "a", "j"); err != nil {
		t.Fatal(err)
	}
	for _, looked := range looks {
		if got := <-looked; got != "a/j" {
			t.Errorf("a pod was told to look at %s", got)
		}
	}
}

// A pod of another version does not keep others from being seen.
func TestPodsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	url := servers.NATS(t)
	nc := connect(t, url)
	other := connect(t, url)
	_, err := other.Subscribe("relogin.pods.state", func(m *nats.Msg) { _ = m.Respond([]byte("no JSON")) }) // a lost answer fails the test
	if err == nil {
		err = other.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := AskPods[podAnswer](t.Context(), nc, ""); err == nil || !strings.Contains(err.Error(), "read an answer") {
		t.Errorf("of answers that are none: %v", err)
	}
	served(t, url, "fine")
	if pods, err := AskPods[podAnswer](t.Context(), nc, ""); err != nil || len(pods) != 1 {
		t.Errorf("beside an answer that is none: %v, %v", pods, err)
	}
}

// Who may not ask is told so.
func TestPodsThatMayNotBeAsked(t *testing.T) {
	t.Parallel()
	s := servers.StartNATS(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "admin", Password: "p"}, {Username: "poor", Password: "p", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Deny: []string{"relogin.pods.*"}}}}}
	})
	as := func(user string) string { return strings.Replace(s.URL(), "//", "//"+user+":p@", 1) }
	served(t, as("admin"), "fine")
	pods, err := AskPods[podAnswer](t.Context(), connect(t, as("poor")), "")
	if len(pods) > 0 || err == nil || !strings.Contains(err.Error(), "relogin.pods.state") {
		t.Errorf("asked without the permission: %v, %v", pods, err)
	}
}
