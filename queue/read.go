package queue

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

const (
	readBatch      = 256 // messages that one request reads
	readBatchBytes = 4 << 20
	readTimeout    = 30 * time.Second // how long a request may take
)

// read yields the stream's messages on these subjects as they were stored, from that sequence on,
// so many with each request. It needs no consumer. An error is the last that it yields.
func (c *client) read(ctx context.Context, stream, subjects string, sequence uint64, batch int) iter.Seq2[*jetstream.RawStreamMsg, error] {
	return func(yield func(*jetstream.RawStreamMsg, error) bool) {
		for {
			read, err := 0, error(nil)
			for msg, failed := range c.readOnce(ctx, stream, subjects, sequence, batch) {
				if err = failed; err != nil {
					break
				}
				read, sequence = read+1, msg.Sequence+1
				for _, key := range readingHeaders {
					msg.Header.Del(key)
				}
				if !yield(msg, nil) {
					return
				}
			}
			switch {
			case errors.Is(err, jetstreamext.ErrNoMessages), err == nil && read == 0:
				return
			case err != nil:
				yield(nil, err)
				return
			}
		}
	}
}

func (c *client) readOnce(ctx context.Context, stream, subjects string, sequence uint64, batch int) iter.Seq2[*jetstream.RawStreamMsg, error] {
	return func(yield func(*jetstream.RawStreamMsg, error) bool) {
		ctx, cancel := context.WithTimeout(ctx, readTimeout)
		defer cancel()
		messages, err := jetstreamext.GetBatch(ctx, c.js, stream, batch, jetstreamext.GetBatchSeq(sequence),
			jetstreamext.GetBatchSubject(subjects), jetstreamext.GetBatchMaxBytes(readBatchBytes))
		if err != nil {
			yield(nil, err)
			return
		}
		messages(yield)
	}
}

// readingHeaders are those that the server adds for who reads a message directly.
var readingHeaders = []string{
	jetstream.StreamHeader, jetstream.SubjectHeader, jetstream.SequenceHeader, jetstream.LastSequenceHeader, "Nats-Time-Stamp", "Nats-Num-Pending",
}
