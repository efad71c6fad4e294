package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// shortMemory is a --job-memory that can be waited for.
const shortMemory = 20 * time.Second

// measureRedis counts the commands of a job, and what it leaves in Redis.
func measureRedis(ctx context.Context, l *lab) error {
	n := l.jobs
	c, err := l.prepare(ctx, "relogin", append(l.atOnceFlags(), "--cooldown", "0s", "--job-memory", shortMemory.String())...)
	if err != nil {
		return err
	}
	defer c.stop()
	if _, err := c.launch(); err != nil {
		return err
	}
	if err := c.warmUp(ctx); err != nil {
		return err
	}
	if err := c.awaitKeys(ctx, 1); err != nil {
		return err
	}
	before, err := c.redisMemory(ctx)
	if err != nil {
		return err
	}
	if err := l.redis.ConfigResetStat(ctx).Err(); err != nil {
		return err
	}
	if err := c.enqueue(ctx, n, distinct); err != nil {
		return err
	}
	if err := c.await(ctx, n+warmJobs); err != nil {
		return err
	}
	calls, reads, err := c.redisCalls(ctx)
	if err != nil {
		return err
	}
	after, keys, err := c.marks(ctx, n)
	if err != nil {
		return err
	}
	if err := c.awaitKeys(ctx, 1); err != nil {
		return err
	}
	left, err := c.redisMemory(ctx)
	if err != nil {
		return err
	}
	t := table{head: []string{"of a job", ""}}
	t.add("commands that clients sent", fmt.Sprintf("%.2f", float64(calls)/float64(n)))
	t.add("reads of a socket by the server, which pipelines share", fmt.Sprintf("%.2f", float64(reads)/float64(n)))
	t.add("bytes once it has ended, of "+fmt.Sprint(keys)+" keys", fmt.Sprintf("%.0f", float64(after-before)/float64(n)))
	t.add("bytes once --job-memory is over", fmt.Sprintf("%.1f", max(0, float64(left-before))/float64(n)))
	l.tables.add("redis", t)
	fmt.Print(t.text())
	return nil
}

// redisMemory is what Redis has allocated, without what clients' buffers take.
func (c *contest) redisMemory(ctx context.Context) (int64, error) {
	info, err := c.redisInfo(ctx, "memory")
	if err != nil {
		return 0, err
	}
	return number(info["used_memory"]) - number(info["mem_clients_normal"]), nil
}

// redisCalls is how many commands came from clients since the counters were reset, and
// how often the server read from a socket.
func (c *contest) redisCalls(ctx context.Context) (calls, reads int64, err error) {
	stats, err := c.redisInfo(ctx, "commandstats")
	if err != nil {
		return 0, 0, err
	}
	for _, name := range []string{"evalsha", "eval"} {
		count, _, _ := strings.Cut(strings.TrimPrefix(stats["cmdstat_"+name], "calls="), ",")
		calls += number(count)
	}
	io, err := c.redisInfo(ctx, "stats")
	return calls, number(io["total_reads_processed"]), err
}

func (c *contest) redisInfo(ctx context.Context, section string) (map[string]string, error) {
	text, err := c.lab.redis.Info(ctx, section).Result()
	if err != nil {
		return nil, fmt.Errorf("ask redis: %w", err)
	}
	info := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		info[name] = value
	}
	return info, nil
}

// marks waits until nothing but the ended jobs' marks is left, and weighs them.
func (c *contest) marks(ctx context.Context, n int) (bytes int64, keys int64, err error) {
	err = until(shortMemory, 10*time.Millisecond, "for records to shrink", func() bool {
		keys, err = c.lab.redis.DBSize(ctx).Result()
		return err != nil || keys <= int64(n)+warmJobs+1
	})
	if err != nil {
		return 0, 0, err
	}
	bytes, err = c.redisMemory(ctx)
	return bytes, keys, err
}

func (c *contest) awaitKeys(ctx context.Context, most int64) error {
	return until(5*time.Minute, 100*time.Millisecond, "for keys to expire", func() bool {
		keys, err := c.lab.redis.DBSize(ctx).Result()
		return err == nil && keys <= most
	})
}

func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}
