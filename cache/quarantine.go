package cache

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// IncarnationStore remembers, outside of Redis and for all pods, each incarnation of a Redis
// server and when its lock-delay ends. A server that was restarted, wiped or failed over may
// have forgotten a lock whose prompt is still open, so after the first pod has seen the new
// incarnation nobody may begin for a while: until the longest lease of any pod has passed.
// Two names tell incarnations apart: the process's replication id, which is new with each
// start and each promotion, with the number of keys that it has evicted; and a key that goes
// when the others do.
//
// LockDelayEnds returns the time, on the server's clock, from which locks of the incarnation
// with that name count. It stores a time long past for the very first name of a kind, and for
// any other name that it does not know now + extra + the longest lease that any pod may have
// granted. It returns what is stored otherwise, but never a time further ahead. Two pods that
// ask for the same name at once are told the same. now is the server's clock. The call may
// block until ctx ends; after an error nothing is granted.
//
// First has the locks of these names of a kind count from the beginning, unless the kind has a
// first name already. A Cluster that is new has several masters, of which none is newer.
//
// Suspended returns 0 while this pod's own lease is among those that count, so that it may
// grant, and otherwise after what time to ask again. It does not block.
//
// Only readings of one server's clock are compared, and pods turn the difference into a wait
// on their own monotonic clock. A server clock that is set back makes the wait longer; one
// that is set forward makes it shorter by as much, as it does a lease.
type IncarnationStore interface {
	LockDelayEnds(ctx context.Context, kind, name string, now time.Time, extra time.Duration) (time.Time, error)
	First(ctx context.Context, kind string, names ...string) error
	Suspended() time.Duration
}

// The kinds of names.
const (
	process = "process" // a replication id
	memory  = "memory"  // a mark
)

// cutOff is for how long a master that was cut off may still grant to the pods on its
// side after a replica was promoted: min-replicas-max-lag, which is 10 s by default and
// looked at once a second, and some to spare.
const cutOff = 15 * time.Second

// quarantine is how long this process must not begin, because of a server that it
// connected to. In a Cluster that is about the accounts in the server's slots.
type quarantine struct {
	store  IncarnationStore // nil: nothing is ever suspended
	cutOff time.Duration
	logger *slog.Logger
	start  time.Time            // with its monotonic reading, the zero of until
	until  atomic.Int64         // nanoseconds after start; in a Cluster the last of slots
	slots  *[slots]atomic.Int64 // until when each slot waits; nil outside of a Cluster
	lead   atomic.Int64         // nanoseconds by which the server's clock is ahead of ours

	anyEvicts atomic.Bool   // a server may evict locks
	recheck   time.Duration // when that may have changed

	mu       sync.Mutex
	known    map[string]bool // names whose wait is in until
	evicting map[string]bool // servers that may evict locks
}

func newQuarantine(o *Options) *quarantine {
	return &quarantine{
		store: o.Incarnations, cutOff: o.cutOff, logger: o.Logger,
		start: time.Now(), recheck: o.watchEvery, known: make(map[string]bool),
	}
}

// anySlot stands for the account's slot outside of a Cluster, and for the slot that waits longest.
const anySlot = -1

// wait returns how long nothing may be begun for accounts in the slot, 0 when its server
// is trusted.
func (q *quarantine) wait(slot int) time.Duration {
	var wait time.Duration
	if q.store != nil {
		wait = q.store.Suspended()
	}
	if q.anyEvicts.Load() {
		wait = max(wait, q.recheck)
	}
	until := q.until.Load()
	if until != 0 && slot != anySlot {
		until = q.slots[slot].Load()
	}
	if until != 0 {
		wait = max(wait, time.Duration(until)-time.Since(q.start))
	}
	return wait
}

// suspend has the slots wait. They keep waiting when they move to another server.
func (q *quarantine) suspend(wait time.Duration, slots []redis.ClusterSlot) {
	until := int64(time.Since(q.start) + wait)
	for _, r := range slots {
		for slot := r.Start; slot <= r.End; slot++ {
			q.slots[slot].Store(max(q.slots[slot].Load(), until))
		}
	}
	q.until.Store(max(q.until.Load(), until))
}

// now is the server's clock, as far as it is known here.
func (q *quarantine) now() time.Time {
	return time.Now().Add(time.Duration(q.lead.Load()))
}

// onConnect looks at the server at the other end of a new connection, before any other
// command is sent on it. After an error go-redis closes the connection. It also unwraps
// the error once: the outer text is for that.
func (q *quarantine) onConnect(ctx context.Context, cn *redis.Conn) error {
	err := q.examine(ctx, cn)
	if errors.Is(err, errEvicts) {
		q.addEvicting(ctx, cn.String()) // what was begun may still be finished
		return nil
	}
	if err != nil {
		return fmt.Errorf("connect: %w", identifyError{err})
	}
	return nil
}

// identifyError hides that its cause may be a server's reply: go-redis would take such an
// error for the reply of a command, which then has it no more.
type identifyError struct{ cause error }

func (e identifyError) Error() string { return "identify redis server: " + e.cause.Error() }

// Is tells whether the cause is target, for [errors.Is].
func (e identifyError) Is(target error) bool { return errors.Is(e.cause, target) }

// server is a [redis.Conn] or a [redis.Client].
type server interface {
	Info(ctx context.Context, sections ...string) *redis.StringCmd
	Time(ctx context.Context) *redis.TimeCmd
	ClusterMyID(ctx context.Context) *redis.StringCmd
	ClusterSlots(ctx context.Context) *redis.ClusterSlotsCmd
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
	return q.admit(ctx, process, processName(info), now, extra, func() []redis.ClusterSlot { return q.slotsOf(ctx, cn) })
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
func (q *quarantine) slotsOf(ctx context.Context, cn server) (own []redis.ClusterSlot) {
	if q.slots == nil {
		return nil
	}
	id, idErr := cn.ClusterMyID(ctx).Result()
	all, err := cn.ClusterSlots(ctx).Result()
	if err := errors.Join(idErr, err); err != nil {
		q.logger.WarnContext(ctx, "which slots a redis server has is not known: it holds up the accounts of all; allow its user +cluster|myid and +cluster|slots", "error", err)
	}
	for _, r := range all {
		if len(r.Nodes) > 0 && r.Nodes[0].ID == id {
			own = append(own, r)
		}
	}
	if len(own) == 0 {
		return []redis.ClusterSlot{{Start: 0, End: slots - 1}}
	}
	return own
}

// Errors of a server that is not one to lock on.
var (
	errReplica = errors.New("it is a replica")
	errNoID    = errors.New("it is no Redis to lock on, but an emulator or a proxy, or its user may not use INFO: that tells no master_replid, by which a server that has lost its locks is known. Use Redis 6.2 or later")
	errEvicts  = errors.New("it may evict locks: set maxmemory-policy to noeviction")
)

// admit suspends the server's slots until its grants count, once for each name.
func (q *quarantine) admit(ctx context.Context, kind, name string, now time.Time, extra time.Duration, slots func() []redis.ClusterSlot) error {
	q.mu.Lock()
	known := q.known[name]
	q.mu.Unlock()
	if known {
		return nil
	}
	from, err := q.store.LockDelayEnds(ctx, kind, name, now, extra)
	if err != nil {
		return fmt.Errorf("ask whether %s %s is trusted: %w", kind, name, err)
	}
	wait := from.Sub(now)
	var its []redis.ClusterSlot
	if wait > 0 {
		its = slots()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.known[name] { // by another connection, just now
		return nil
	}
	q.known[name] = true
	if wait > 0 {
		q.suspend(wait, its)
		q.logger.WarnContext(ctx, "redis was restarted, wiped or failed over and may have lost locks: no confirmation starts for now",
			kind, name, "for", wait.Round(time.Millisecond), "slots", count(its))
	}
	return nil
}

// count returns how many slots the ranges have.
func count(ranges []redis.ClusterSlot) (n int) {
	for _, r := range ranges {
		n += r.End - r.Start + 1
	}
	return n
}

// parseInfo reads what INFO returns: lines of key:value.
func parseInfo(text string) map[string]string {
	info := make(map[string]string)
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if key, value, found := strings.Cut(lines.Text(), ":"); found {
			info[key] = value
		}
	}
	return info
}
