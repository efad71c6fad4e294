package cache

import "github.com/relogin/relogin/worker"

// keys of an account.
type keys struct{ namespace, account string }

func (c *Client) keys(wcID string) keys { return keys{c.opts.Namespace, worker.AccountToken(wcID)} }

// The names of keys, after the account. Those that end in a colon are followed by what they are of.
const (
	lockName    = "lock"
	lastName    = "last:"
	coolName    = "cool"
	promptsName = "prompts"
	waitingName = "waiting"
	jobName     = "job:"
	snoozedName = "excused:"
)

func (k keys) key(name, of string) string { return k.namespace + ":{" + k.account + "}:" + name + of }

func (k keys) lock() string             { return k.key(lockName, "") }
func (k keys) snoozed(id string) string { return k.key(snoozedName, id) }
