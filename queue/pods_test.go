package queue

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/test/servers"
)

// Somebody who answers in the place of a pod, with what is no state, hides no pod.
func TestPodsBesideNonsense(t *testing.T) {
	t.Parallel()
	nc := connect(t, servers.NATS(t))
	type state struct{ Pod string }
	stop, err := ServePod(t.Context(), nc, "", PodService{Pod: "a", State: func() any { return state{"a"} }})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for _, nonsense := range []string{"", "no JSON", "[1]", `{"Pod":7}`} {
		if _, err := nc.Subscribe("relogin.pods.state", func(m *nats.Msg) { _ = m.Respond([]byte(nonsense)) }); err != nil { // the pod's answer is what counts
			t.Fatal(err)
		}
	}
	servers.Eventually(t, "the pod's answer alone", func() bool {
		pods, err := AskPods[state](t.Context(), nc, "")
		return err == nil && len(pods) == 1 && pods[0].Pod == "a"
	})
}
