package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Errors of a server that is not one to lock on.
var (
	errReplica = errors.New("it is a replica")
	errNoID    = errors.New("it is no Redis to lock on, but an emulator or a proxy, or its user may not use INFO: that tells no master_replid, by which a server that has lost its locks is known. Use Redis 6.2 or later")
	errEvicts  = errors.New("it may evict locks: set maxmemory-policy to noeviction")
)

// onConnect examines the server at the other end of a new connection, before any other
// command is sent on it. After an error go-redis closes the connection. It also unwraps the
// error once: the outer text is for that.
func (q *quarantine) onConnect(ctx context.Context, cn *redis.Conn) error {
	err := q.examine(ctx, cn)
	if err == nil || errors.Is(err, errEvicts) { // what was begun may still be finished
		return nil
	}
	return fmt.Errorf("connect: %w", identifyError{err})
}

// identifyError hides that its cause may be a server's reply: go-redis would take such an
// error for the reply of a command, which then has it no more.
type identifyError struct{ cause error }

func (e identifyError) Error() string { return "identify redis server: " + e.cause.Error() }

// Is implements what [errors.Is] looks for.
func (e identifyError) Is(target error) bool { return errors.Is(e.cause, target) }

// server is a [redis.Conn] or a [redis.Client].
type server interface {
	redis.Cmdable
	fmt.Stringer
}

// examine has the server admitted, or returns why it is not one to lock on.
func (q *quarantine) examine(ctx context.Context, cn server) error {
	text, err := cn.Info(ctx).Result()
	if err != nil {
		return err
	}
	info := parseInfo(text)
	switch {
	case info["redis_mode"] == "sentinel":
		return nil // go-redis calls this hook for sentinels too
	case info["role"] == "slave":
		// Once it is promoted it would grant on this connection, unseen.
		return errReplica
	case processName(info) == "":
		return errNoID
	case info["maxmemory_policy"] != "noeviction" && info["maxmemory"] != "0":
		q.setEvicting(ctx, cn.String(), true)
		return errEvicts
	}
	now, err := cn.Time(ctx).Result()
	if err != nil {
		return err
	}
	q.lead.Store(int64(time.Until(now)))
	var extra time.Duration
	if promoted := info["master_replid2"]; strings.Trim(promoted, "0") != "" {
		extra = q.cutOff
	}
	if err := q.admit(ctx, process, processName(info), now, extra, cn); err != nil {
		return err
	}
	q.setEvicting(ctx, cn.String(), false)
	return nil
}

// processName names the server's process, whose memory is another one once it has evicted keys.
func processName(info map[string]string) string {
	id := info["master_replid"]
	if evicted := info["evicted_keys"]; id != "" && evicted != "" && evicted != "0" {
		id += "-" + evicted
	}
	return id
}

// slotsOf returns the slots that a Cluster's server has, and all of them where it can't be
// known which these are: a master without any may have lost them with its data, and be
// given them back later.
func (q *quarantine) slotsOf(ctx context.Context, cn server) (own []int) {
	if !q.cluster {
		return nil
	}
	id, idErr := cn.ClusterMyID(ctx).Result()
	all, err := cn.ClusterSlots(ctx).Result()
	if err := errors.Join(idErr, err); err != nil {
		q.Logger.WarnContext(ctx, "which slots a redis server has is not known: it holds up the accounts of all; allow its user +cluster|myid and +cluster|slots", "error", err)
	}
	add := func(r redis.ClusterSlot) {
		for slot := r.Start; slot <= r.End; slot++ {
			own = append(own, slot)
		}
	}
	for _, r := range all {
		if len(r.Nodes) > 0 && r.Nodes[0].ID == id {
			add(r)
		}
	}
	if own == nil {
		add(redis.ClusterSlot{Start: 0, End: slots - 1})
	}
	return own
}

// watchEvery is how often each master is looked at, about: somebody may reconfigure it.
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

// inspect examines every master that can be asked, and tells whether one may evict locks.
func (c *Client) inspect(ctx context.Context) (evicts bool) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	var masters sync.Map
	_ = c.eachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		masters.Store(master.String(), nil)
		return c.quarantine.examine(ctx, master)
	})
	c.quarantine.evicting.Range(func(server, _ any) bool {
		if _, isMaster := masters.Load(server); !isMaster {
			c.quarantine.setEvicting(ctx, server.(string), false)
		}
		return true
	})
	return c.quarantine.evictors.Load() > 0
}

// setEvicting notes whether the server may evict locks. While one may nothing is granted.
func (q *quarantine) setEvicting(ctx context.Context, server string, evicts bool) {
	if !evicts {
		if _, did := q.evicting.LoadAndDelete(server); did {
			q.evictors.Add(-1)
			q.Logger.InfoContext(ctx, "redis evicts no more", "server", server)
		}
	} else if _, did := q.evicting.LoadOrStore(server, nil); !did {
		q.evictors.Add(1)
		q.Logger.ErrorContext(ctx, "redis may evict locks: no confirmation starts until its maxmemory-policy is noeviction, or its maxmemory 0", "server", server)
	}
}

// parseInfo reads what INFO returns: lines of key:value.
func parseInfo(text string) map[string]string {
	info := make(map[string]string)
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		info[key] = value
	}
	return info
}
