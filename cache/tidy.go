package cache

import (
	"context"
	"time"
)

const (
	// tidyDelay is how long tidyings wait for calls whose pipeline takes them along.
	tidyDelay = 5 * time.Millisecond
	// tidyAtOnce is how many one script tidies, at most: others wait for its end.
	tidyAtOnce = 64
)

// tidying is a run of shrink.lua or snooze.lua for one job.
type tidying struct {
	script      *script
	wcID, jobID string
}

// tidy leaves a script whose reply nobody waits for to the flushers.
func (c *Client) tidy(s *script, wcID, jobID string) {
	l := c.shard
	if c.cluster != nil {
		var err error
		if l, err = c.shardOf(context.Background(), c.keys(wcID).lock()); err != nil {
			c.stats.dropped.Add(1)
			return
		}
	}
	l.tidy(tidying{s, wcID, jobID})
}

func (s *shard) tidy(t tidying) {
	s.untidied.Add(1)
	select {
	case s.tidying <- t:
	default:
		s.untidied.Add(-1)
		s.stats.dropped.Add(1)
	}
	select {
	case s.untidy <- struct{}{}:
	default: // tidyUp knows
	}
}

// tidied blocks until what was left to the flushers so far has been sent, or failed.
func (c *Client) tidied(ctx context.Context) error {
	for c.untidied.Load() > 0 {
		select {
		case <-time.After(tidyDelay):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// tidyUp sends the tidyings that no call's pipeline took along, and after closing what is
// left of them, for at most the time-out.
func (s *shard) tidyUp() {
	for open := true; open; {
		select {
		case <-s.untidy:
			select {
			case <-time.After(tidyDelay):
			case <-s.closing:
			}
			s.execTidyings(time.Time{})
		case <-s.closing:
			open = false
		}
	}
	s.execTidyings(time.Now().Add(s.opts.Timeout))
}

// execTidyings sends what is to be tidied, until nothing is, or the time is over.
func (s *shard) execTidyings(until time.Time) {
	for until.IsZero() || time.Now().Before(until) {
		batch := s.tidyings()
		if len(batch) == 0 {
			return
		}
		s.exec(s.pipe(), batch)
	}
}

// tidyings returns calls for what is to be tidied, up to a batch.
func (s *shard) tidyings() []*call {
	var these []tidying
	for len(these) < batchSize {
		select {
		case t := <-s.tidying:
			these = append(these, t)
			continue
		default:
		}
		break
	}
	if these == nil {
		return nil
	}
	// Snoozes first: the shrinking of the same job takes them away.
	batch := s.tidyCalls(nil, s.scripts.snooze, these)
	return s.tidyCalls(batch, s.scripts.shrink, these)
}

// tidyCalls appends calls that run the script for those of these that it is for. In a
// Cluster their keys are in many slots, and each has a call of its own.
func (c *Client) tidyCalls(batch []*call, s *script, these []tidying) []*call {
	atOnce := tidyAtOnce
	if c.cluster != nil {
		atOnce = 1
	}
	var last *call
	for _, t := range these {
		if t.script != s {
			continue
		}
		if last == nil || last.jobs == atOnce {
			last = &call{script: s}
			batch = append(batch, last)
		}
		k := c.keys(t.wcID)
		last.key(k, jobName, t.jobID)
		last.key(k, snoozedName, t.jobID)
		if last.jobs++; last.jobs == atOnce {
			last.seal()
		}
	}
	if last != nil && last.jobs < atOnce {
		last.seal()
	}
	return batch
}
