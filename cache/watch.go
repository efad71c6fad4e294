package cache

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// watchEvery is how often each master is looked at, about: somebody may have it evict
// keys while connections to it go on.
const watchEvery = 10 * time.Second

// watch looks at the masters until the client is closing.
func (c *Client) watch() {
	for {
		select {
		case <-time.After(c.opts.watchEvery*4/5 + rand.N(c.opts.watchEvery*2/5)):
		case <-c.closing:
			return
		}
		c.inspect(context.Background())
	}
}

// inspect examines every master, and tells whether one may evict locks. Those that can't
// be asked are left to the calls that need them.
func (c *Client) inspect(ctx context.Context) (evicts bool) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	var mu sync.Mutex
	evicting := make(map[string]bool)
	look := func(ctx context.Context, master *redis.Client) error {
		err := c.quarantine.examine(ctx, master)
		mu.Lock()
		defer mu.Unlock()
		if name := master.String(); errors.Is(err, errEvicts) || err != nil && c.quarantine.mayEvict(name) {
			evicting[name] = true
		}
		return err
	}
	switch r := c.redis.(type) {
	case *redis.Client:
		_ = look(ctx, r)
	case *redis.ClusterClient:
		_ = r.ForEachMaster(ctx, look)
	}
	c.quarantine.setEvicting(ctx, evicting)
	return len(evicting) > 0
}

// mayEvict tells whether the server was seen to be one that may evict.
func (q *quarantine) mayEvict(server string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.evicting[server]
}

// setEvicting replaces the servers that may evict. While there is one nothing is granted.
func (q *quarantine) setEvicting(ctx context.Context, servers map[string]bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for server := range servers {
		if !q.evicting[server] {
			q.logger.ErrorContext(ctx, "redis may evict locks: no confirmation starts until its maxmemory-policy is noeviction, or its maxmemory 0", "server", server)
		}
	}
	for server := range q.evicting {
		if !servers[server] {
			q.logger.InfoContext(ctx, "redis evicts no more", "server", server)
		}
	}
	q.evicting = servers
	q.anyEvicts.Store(len(servers) > 0)
}

// addEvicting adds a server to those that may evict.
func (q *quarantine) addEvicting(ctx context.Context, server string) {
	q.mu.Lock()
	all := map[string]bool{server: true}
	for other := range q.evicting {
		all[other] = true
	}
	q.mu.Unlock()
	q.setEvicting(ctx, all)
}
