package cache

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

// TestRandom compares random sequences of calls with the model. On the embedded server,
// whose clock the test sets, answers and keys are compared to the millisecond, and time
// passes to right before, at and after the ends of things. On the real one what is stored
// is made older, the ends are kept away from, and the answers and the names of the keys
// are compared.
//
// More: go test ./cache -run TestRandom -rapid.checks 20000 -rapid.steps 60
func TestRandom(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		server := miniredis.RunT(t)
		rapid.Check(t, func(t *rapid.T) {
			server.FlushAll()
			now := int64(1800000000000)
			server.SetTime(time.UnixMilli(now))
			m := newMachine(t, "redis://"+server.Addr(), "random")
			defer m.close()
			m.server = server
			m.now = func() int64 { return now }
			m.sleep = func(ms int64) {
				now += ms
				server.SetTime(time.UnixMilli(now))
				server.FastForward(time.Duration(ms) * time.Millisecond)
			}
			m.run()
		})
	})
	t.Run("real", func(t *testing.T) {
		t.Parallel()
		url, namespace, n := servers.RealRedis(t), servers.Namespace(t), 0
		rapid.Check(t, func(t *rapid.T) {
			n++
			m := newMachine(t, url, fmt.Sprint(namespace, "-", n))
			defer m.close()
			m.now = func() int64 { return time.Now().UnixMilli() + m.shift }
			m.sleep = func(ms int64) {
				m.shift += ms
				m.age(ms)
			}
			m.run()
		})
	})
}

// machine makes the same calls on a client and on a model.
type machine struct {
	*rapid.T
	client *Client
	quiet  *Client // its Shrink and Snooze only queue
	model  *model
	now    func() int64
	sleep  func(ms int64)

	server *miniredis.Miniredis // nil: a real one
	shift  int64                // how far the model's clock is ahead of the real server's
	calls  int
}

// near is how far times may differ on a real server, and how far it keeps from ends.
const near = 3000

func newMachine(t *rapid.T, url, namespace string) *machine {
	r := rules{minConfirm: rapid.SampledFrom([]time.Duration{0, 20 * time.Second}).Draw(t, "minConfirm"),
		jobMemory:    rapid.SampledFrom([]time.Duration{0, 30 * time.Second, time.Hour}).Draw(t, "jobMemory"),
		dailyPrompts: rapid.IntRange(0, 3).Draw(t, "dailyPrompts"),
		rate:         rapid.SampledFrom([]float64{0, 0.5, 4}).Draw(t, "rate")}
	o := Options{
		URL: url, Namespace: namespace, Pod: "pod", SendWindow: 2 * time.Second, ConfirmTimeout: time.Minute,
		MinConfirmTime: r.minConfirm, JobMemory: r.jobMemory, DailyPrompts: r.dailyPrompts, GatewayRate: r.rate,
		Logger: slog.New(slog.DiscardHandler),
	}
	r.lease = o.Lease()
	r.eventMaxAge = rapid.SampledFrom([]time.Duration{r.lease, 7 * day}).Draw(t, "eventMaxAge")
	o.EventMaxAge = r.eventMaxAge
	c, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return &machine{T: t, client: c, quiet: quietClient(c), model: newModel(&r)}
}

func (m *machine) close() {
	if keys := m.keys(); m.server == nil && len(keys) > 0 {
		m.client.redis.Del(context.Background(), keys...)
	}
	if err := m.client.Close(); err != nil {
		m.Error(err)
	}
}

func (m *machine) keys() []string {
	keys, err := m.client.redis.Keys(context.Background(), m.client.opts.Namespace+":*").Result()
	if err != nil {
		m.Error(err)
	}
	return slices.DeleteFunc(keys, func(key string) bool { return strings.Contains(key, ":rate:") })
}

// run makes enough calls for the parts of an account's life to meet.
func (m *machine) run() {
	for range 3 {
		m.Repeat(m.actions())
	}
}

func (m *machine) actions() map[string]func(*rapid.T) {
	all := map[string]func(){
		"begin": m.begin, "begin too": m.begin, "finish": m.finish, "release": m.release,
		"shrink": m.shrink, "snooze": m.snooze, "pass": m.pass, "": m.compare,
	}
	if m.server != nil {
		all["reserve"] = m.reserve
	}
	actions := make(map[string]func(*rapid.T))
	for name, action := range all {
		actions[name] = func(*rapid.T) {
			now := m.now()
			m.model.expire(func(until int64) bool { return until <= now })
			action()
		}
	}
	return actions
}

func draw[V any](m *machine, name string, of ...V) V { return rapid.SampledFrom(of).Draw(m.T, name) }

// ask draws who asks, with which token.
func (m *machine) ask() worker.Ask {
	job := draw(m, "job", "a", "b", "c", "d")
	a := worker.Ask{WcID: "w", JobID: job, Tenant: "t", Pod: "pod-" + job, StoredAt: draw(m, "stored", time.Time{}, time.UnixMilli(1700000000123))}
	if job == "d" {
		a.Tenant = "u"
	}
	switch attempts := draw(m, "attempts", job+"1", job+"2#x", ""); {
	case attempts == "":
		a.Token = job
	default:
		a.Token = attempts + "#" + draw(m, "number", "1", "2", "10")
	}
	return a
}

func (m *machine) begin() {
	a, now := m.ask(), m.now()
	least, off := m.model.rules.minConfirm.Milliseconds(), int64(1)
	if m.server == nil {
		off = 2 * near
	}
	if left := draw(m, "left", -1<<40, -1<<40, -1<<40, -off, 0, off, least-off, least, least+off); left != -1<<40 &&
		(m.server != nil || left != 0 && left != least) {
		a.Deadline = time.UnixMilli(now + left)
	}
	if draw(m, "has the result", false, true) {
		a.Have = m.model.last[a.Tenant].token
	}
	want := m.model.begin(now, a)
	if !a.Deadline.IsZero() {
		a.Deadline = a.Deadline.Add(-time.Duration(m.shift) * time.Millisecond)
	}
	got, err := m.client.Begin(context.Background(), a)
	if err != nil {
		m.Fatal(err)
	}
	shift := time.Duration(m.shift) * time.Millisecond
	got.Now = got.Now.Add(shift)
	if !got.RetryAt.IsZero() {
		got.RetryAt = got.RetryAt.Add(shift)
	}
	want.Now = time.UnixMilli(now)
	m.equal(fmt.Sprintf("Begin(%+v)", a), got, want)
}

// equal compares what was answered; times may be a little off on a real server.
func (m *machine) equal(what string, got, want any) {
	m.Helper()
	var options []cmp.Option
	if m.server == nil {
		options = append(options, cmp.Comparer(func(a, b time.Time) bool { return a.Sub(b).Abs() < near*time.Millisecond }),
			cmp.Comparer(func(a, b time.Duration) bool { return (a - b).Abs() < near*time.Millisecond }))
	}
	if diff := cmp.Diff(want, got, options...); diff != "" {
		m.Fatalf("%s: -want +got\n%s", what, diff)
	}
	m.Logf("%s = %+v", what, got)
}

func (m *machine) finish() {
	a := m.ask()
	if lock := m.model.lock; lock != nil && draw(m, "holder", true, false) {
		a.JobID, a.Tenant, a.Token = lock.job, lock.tenant, lock.token
	} else if job := m.model.jobs[a.JobID]; draw(m, "granted", true, false) && job.kind == "open" {
		a.Token = job.token
	} else if draw(m, "without a token", true, false) {
		a.Token = ""
	}
	m.calls++
	end := worker.Conclusion{
		WcID: a.WcID, JobID: a.JobID, Tenant: a.Tenant, Token: a.Token, StoredAt: a.StoredAt,
		Keep: draw(m, "keep", false, true), Cooldown: draw(m, "cool-down", 0, time.Minute, 2*time.Minute),
		Result: job.Result{
			Outcome: draw(m, "outcome", job.Succeeded, job.Failed, job.Unknown, job.Invalid),
			Code:    fmt.Sprint(m.calls), Login: &job.Login{Token: "s\x00:e\ncret", NickName: "阿😀"},
		},
	}
	if end.Result.Outcome == job.Invalid {
		end.Digest = draw(m, "digest", "d", "e")
	}
	if draw(m, "shares", false, true) {
		end.Shared, end.Result.SharedWith = m.model.last[a.Tenant].token, "another"
	}
	if since := m.model.jobs[a.JobID].since; since > 0 && draw(m, "sole", true, false) {
		least := int64(0)
		if m.server == nil {
			least = -2 * near
		}
		end.SoleUntil = time.UnixMilli(since + draw(m, "sole off", least, 1-least))
	}
	want, wantErr := m.model.finish(m.now(), end)
	if !end.SoleUntil.IsZero() {
		end.SoleUntil = end.SoleUntil.Add(-time.Duration(m.shift) * time.Millisecond)
	}
	finished, err := m.client.Finish(context.Background(), end)
	if err != wantErr {
		m.Fatalf("Finish(%+v) error = %v, want %v", end, err, wantErr)
	}
	m.equal(fmt.Sprintf("Finish(%+v)", end), finished, want)
}

func (m *machine) release() {
	a := m.ask()
	if lock := m.model.lock; lock != nil && draw(m, "holder", true, false) {
		a.JobID, a.Tenant, a.Token = lock.job, lock.tenant, lock.token
	}
	want := m.model.release(a)
	got, err := m.client.Release(context.Background(), a)
	if err != nil {
		m.Fatal(err)
	}
	m.equal(fmt.Sprintf("Release(%+v)", a), got, want)
}

// tidyNow sends what Shrink or Snooze has queued.
func (m *machine) tidyNow() {
	to, from := m.client.shard, m.quiet.shard
	from.overdue = true
	to.exec(to.node.Load().Pipeline(), from.next())
}

func (m *machine) shrink() {
	job := m.ask().JobID
	m.model.shrink(m.now(), job)
	m.quiet.Shrink("w", job)
	m.tidyNow()
	m.Logf("Shrink(%s)", job)
}

func (m *machine) snooze() {
	job := m.ask().JobID
	m.model.snooze(m.now(), job)
	m.quiet.Snooze("w", job)
	m.tidyNow()
	got, err := m.client.Snoozed(context.Background(), "w", job)
	if err != nil {
		m.Fatal(err)
	}
	m.equal(fmt.Sprintf("Snooze(%s), Snoozed", job), got, m.model.snoozed[job].n)
}

func (m *machine) reserve() {
	tenant, ahead := draw(m, "tenant", "t", "u"), draw(m, "ahead", 0, time.Second, 10*time.Second)
	want, wantTaken := m.model.reserve(m.now(), tenant, ahead)
	got, taken, err := m.client.Reserve(context.Background(), tenant, ahead)
	if err != nil {
		m.Fatal(err)
	}
	m.equal(fmt.Sprintf("Reserve(%s, %v) %v", tenant, ahead, taken), []any{got, taken}, []any{want, wantTaken})
}

// pass lets time pass, often to about the end of something.
func (m *machine) pass() {
	var ends []int64
	m.model.clone().expire(func(until int64) bool { ends = append(ends, until); return false })
	if n, prompts := m.model.rules.dailyPrompts, m.model.prompts; n > 0 && len(prompts) >= n {
		ends = slices.Concat(ends, slices.Repeat([]int64{prompts[len(prompts)-n] + day.Milliseconds()}, 3))
	}
	now, off := m.now(), int64(1)
	if m.server == nil {
		off = 2 * near
	}
	ms := draw(m, "time", int64(1), 250, 1000, 10_000)
	if len(ends) > 0 && draw(m, "to an end", true, true, false) {
		ms = rapid.SampledFrom(ends).Draw(m.T, "end") + draw(m, "off", -off, 0, off) - now
	}
	for m.server == nil && slices.ContainsFunc(ends, func(end int64) bool { return max(end-now-ms, now+ms-end) < near }) {
		ms += near
	}
	if ms > 0 {
		m.sleep(ms)
		m.Logf("%d ms pass", ms)
	}
}

// age makes the real server's keys and the times in them older.
func (m *machine) age(ms int64) {
	err := m.client.redis.Eval(context.Background(), `
local ms = tonumber(ARGV[2])
local function earlier(time) return string.format('%.0f', tonumber(time) - ms) end
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
  local left, kind = redis.call('PTTL', key) - ms, redis.call('TYPE', key).ok
  if kind == 'hash' then
    redis.call('HSET', key, 'at', earlier(redis.call('HGET', key, 'at')))
  elseif kind == 'list' then
    for i = 0, redis.call('LLEN', key) - 1 do redis.call('LSET', key, i, earlier(redis.call('LINDEX', key, i))) end
  else
    local before, time, after = string.match(redis.call('GET', key), '^(waits:)(%d+)(:.*)$')
    if not time then before, time, after = string.match(redis.call('GET', key), '^(took:)(%d+)(:.*)$') end
    if string.sub(key, -5) == ':lock' then
      before, time, after = string.match(redis.call('GET', key), '^(.*5:pod%-[abcd])(%d+)$')
    end
    if time then redis.call('SET', key, before .. earlier(time) .. (after or ''), 'KEEPTTL') end
  end
  redis.call('PEXPIRE', key, left)
end`, nil, m.client.opts.Namespace+":*", ms).Err()
	if err != nil && err != redis.Nil {
		m.Fatal(err)
	}
}

// compare compares the keys.
func (m *machine) compare() {
	want := m.model.stored(m.client.keys("w"), m.now())
	if m.server == nil {
		got := m.keys()
		slices.Sort(got)
		m.equal("keys", fmt.Sprint(got), fmt.Sprint(slices.Sorted(maps.Keys(want))))
		return
	}
	got := make(map[string]string)
	for _, key := range m.keys() {
		var value any
		switch kind := m.server.Type(key); kind {
		case "hash":
			fields := make(map[string]string)
			names, _ := m.server.HKeys(key)
			for _, name := range names {
				fields[name] = m.server.HGet(key, name)
			}
			value = fields
		case "list":
			value, _ = m.server.List(key)
		default:
			value, _ = m.server.Get(key)
		}
		got[key] = fmt.Sprintf("%v, %v left", value, m.server.TTL(key))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		m.Fatalf("stored: -want +got\n%s", diff)
	}
}

// stored is what the package's table of keys says of the account.
func (m *model) stored(k keys, now int64) map[string]string {
	all := make(map[string]string)
	set := func(key string, value any, until int64) {
		all[key] = fmt.Sprintf("%v, %v left", value, time.Duration(until-now)*time.Millisecond)
	}
	if l := m.lock; l != nil {
		lock := fmt.Sprintf("%d:%s%d:%s%d:%s", len(l.token), l.token, len(l.job), l.job, len(l.pod), l.pod)
		if l.prompted != 0 {
			lock += fmt.Sprint(l.prompted)
		}
		set(k.lock(), lock, l.until)
	}
	for job, j := range m.jobs {
		data, _ := encodeResult(j.result)
		set(k.job(job), map[string]string{
			"took":  fmt.Sprint("took:", j.since, ":", j.token),
			"waits": fmt.Sprint("waits:", j.since, ":", j.token),
			"open":  fmt.Sprint("open:", unixMilli(j.stored), ":", j.token),
			"done":  fmt.Sprint("done:", unixMilli(j.stored), ":", string(data)),
			"void":  fmt.Sprint("void:", unixMilli(j.stored), ":", j.digest),
			"mark":  "1",
		}[j.kind], j.until)
	}
	for tenant, l := range m.last {
		data, _ := encodeResult(l.result)
		set(k.last(tenant), map[string]string{"token": l.token, "job": l.job, "at": fmt.Sprint(l.at), "result": string(data)}, l.until)
	}
	if m.waiting != 0 {
		set(k.waiting(), "1", m.waiting)
	}
	if m.cool.reason != "" {
		set(k.cool(), m.cool.reason, m.cool.until)
	}
	if len(m.prompts) > 0 {
		set(k.prompts(), m.prompts, m.counted)
	}
	for job, c := range m.snoozed {
		set(k.snoozed(job), c.n, c.until)
	}
	return all
}
