package cache

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// ServerState is how a Redis server that has locks is set, and how it is.
type ServerState struct {
	Address    string        `json:"address"`
	Version    string        `json:"version"`
	Role       string        `json:"role"`       // master or slave
	MaxMemory  int64         `json:"maxMemory"`  // bytes; 0: no bound
	Policy     string        `json:"policy"`     // what happens at that bound
	Evicted    int64         `json:"evicted"`    // keys since it started
	AppendOnly bool          `json:"appendOnly"` // each write is in a file before its process may forget it, or soon after
	Replicas   int           `json:"replicas"`   // that are connected
	Lead       time.Duration `json:"leadNs"`     // of its clock before this machine's, to within the round trip
	RoundTrip  time.Duration `json:"roundTripNs"`
}

// Servers returns how each server is that has locks: of a Cluster its masters. It blocks until they
// have answered, for a few seconds at most.
func (i *Inspector) Servers(ctx context.Context) (all []ServerState, err error) {
	ctx, cancel := context.WithTimeout(ctx, i.timeout)
	defer cancel()
	var mu sync.Mutex
	add := func(ctx context.Context, node *redis.Client) error {
		s, err := serverState(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, s)
		return err
	}
	switch to := i.redis.(type) {
	case *redis.ClusterClient:
		err = to.ForEachMaster(ctx, add)
	case *redis.Client:
		err = add(ctx, to)
	}
	if err != nil {
		return nil, fmt.Errorf("read the state of redis: %w", err)
	}
	return all, nil
}

func serverState(ctx context.Context, node *redis.Client) (ServerState, error) {
	text, err := node.Info(ctx).Result()
	if err != nil {
		return ServerState{}, err
	}
	asked := time.Now()
	now, err := node.Time(ctx).Result()
	if err != nil {
		return ServerState{}, err
	}
	trip := time.Since(asked)
	info := parseInfo(text)
	number := func(key string) int64 {
		n, _ := strconv.ParseInt(info[key], 10, 64) // an older server may not tell
		return n
	}
	return ServerState{
		Address: node.Options().Addr, Version: info["redis_version"], Role: info["role"],
		MaxMemory: number("maxmemory"), Policy: info["maxmemory_policy"], Evicted: number("evicted_keys"),
		AppendOnly: info["aof_enabled"] == "1", Replicas: int(number("connected_slaves")),
		Lead: now.Sub(asked.Add(trip / 2)), RoundTrip: trip,
	}, nil
}
