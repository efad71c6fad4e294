package cache

import "github.com/relogin/relogin/worker/job"

// keys of an account.
type keys struct{ namespace, account string }

func (c *Client) keys(wcID string) keys { return keys{c.opts.Namespace, job.AccountToken(wcID)} }

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

func (k keys) lock() string { return k.key(lockName, "") }

// slots is how many slots a Cluster has.
const slots = 16384

// slot returns the Cluster's slot of the account's keys: the CRC-16 (XMODEM) of what is
// between the braces.
func (k keys) slot() int {
	var crc uint16
	for _, b := range []byte(k.account) {
		crc ^= uint16(b) << 8
		for range 8 {
			carry := crc&0x8000 != 0
			if crc <<= 1; carry {
				crc ^= 0x1021
			}
		}
	}
	return int(crc % slots)
}

// slotOf returns the account's slot in a Cluster, [anySlot] elsewhere.
func (c *Client) slotOf(wcID string) int {
	if c.cluster == nil {
		return anySlot
	}
	return c.keys(wcID).slot()
}
