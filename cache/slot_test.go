package cache

import (
	"context"
	"log/slog"
	"testing"

	"github.com/redis/go-redis/v9"
)

// clusterNode is a master that tells its name and who has which slots.
type clusterNode struct {
	server
	id  string
	all []redis.ClusterSlot
}

func (n clusterNode) ClusterMyID(context.Context) *redis.StringCmd {
	return redis.NewStringResult(n.id, nil)
}

func (n clusterNode) ClusterSlots(context.Context) *redis.ClusterSlotsCmd {
	return redis.NewClusterSlotsCmdResult(n.all, nil)
}

// A master without slots may be one that has lost its configuration with its data, and is
// given its slots back later: all accounts wait for it.
func TestSlotsOfAMaster(t *testing.T) {
	ranges := []redis.ClusterSlot{
		{Start: 0, End: 99, Nodes: []redis.ClusterNode{{ID: "one"}, {ID: "replica"}}},
		{Start: 100, End: slots - 1, Nodes: []redis.ClusterNode{{ID: "two"}}},
	}
	for id, want := range map[string]int{"one": 100, "two": slots - 100, "replica": slots, "none": slots} {
		q := &quarantine{cluster: true, Options: &Options{Logger: slog.New(slog.DiscardHandler)}}
		if got := len(q.slotsOf(t.Context(), clusterNode{id: id, all: ranges})); got != want {
			t.Errorf("%s has %d slots that wait, want %d", id, got, want)
		}
	}
}
