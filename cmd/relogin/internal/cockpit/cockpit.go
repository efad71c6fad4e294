// Package cockpit puts together what an operator wants to know of pods, NATS and Redis, and says in
// one sentence what it means. Commands and the console show it.
package cockpit

import (
	"context"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/cache"
	"github.com/relogin/relogin/queue"
)

// Sources are where all is read.
type Sources struct {
	Namespace string
	NATS      *nats.Conn
	Jobs      *queue.Jobs
	Control   *queue.Control
	Letters   *queue.DeadLetters
	Redis     *cache.Inspector // of [Sources.Explain] alone
}

// Open returns the sources that are on NATS. It blocks until the server has said that they are
// there. The connection stays the caller's.
func Open(ctx context.Context, nc *nats.Conn, namespace string) (*Sources, error) {
	s := &Sources{Namespace: namespace, NATS: nc}
	var err error
	if s.Jobs, err = queue.OpenJobs(ctx, nc, namespace); err != nil {
		return nil, err
	}
	if s.Control, err = queue.OpenControl(ctx, nc, namespace); err != nil {
		return nil, err
	}
	s.Letters, err = queue.OpenDeadLetters(ctx, nc, namespace)
	return s, err
}

// Level is how bad something is.
type Level string

// The levels.
const (
	Well    Level = "ok"
	Look    Level = "warning" // something is not as it should be, and jobs go on
	Trouble Level = "problem" // jobs do not go on
)

// Verdict is what all of it means, in one sentence, and what to do.
type Verdict struct {
	Level Level  `json:"level"`
	Text  string `json:"text"`
	Do    string `json:"do,omitempty"` // the command, or what else helps
	Said  Phrase `json:"-"`            // the text in its parts
}
