package deploy

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// refusedCommands is what users of users.acl may not send, by user.
var refusedCommands = map[string][]string{
	"relogin": {
		"FLUSHALL", "FLUSHDB", "SWAPDB 0 1", "KEYS *", "SCAN 0", "RANDOMKEY", "DBSIZE",
		"CONFIG GET *", "CONFIG SET maxmemory-policy allkeys-lru", "CONFIG RESETSTAT", "SCRIPT FLUSH", "SCRIPT KILL",
		"FUNCTION FLUSH", "ACL LIST", "ACL SETUSER relogin +@all", "CLIENT LIST", "CLIENT KILL TYPE normal", "CLIENT PAUSE 1",
		"MONITOR", "REPLICAOF NO ONE", "SLAVEOF NO ONE", "FAILOVER", "PSYNC ? -1", "SAVE", "BGREWRITEAOF", "MODULE LIST",
		"SUBSCRIBE x", "PUBLISH x y", "MULTI", "PERSIST relogin:x", "RENAME relogin:x relogin:y", "RESTORE relogin:x 0 y",
		"EXPIRE relogin:x 1", "UNLINK relogin:x",
		"GET other:x", "SET other:x 1", "DEL other:x", "EXISTS other:x", "HSET other:x f 1", "GET relogin2:x",
	},
	"replica":  {"GET relogin:x", "SET relogin:x 1", "FLUSHALL", "CONFIG GET *", "INFO", "KEYS *"},
	"sentinel": {"GET relogin:x", "SET relogin:x 1", "FLUSHALL", "CONFIG GET *", "CONFIG SET maxmemory 1", "KEYS *", "ACL LIST"},
	"operator": {"FLUSHALL", "FLUSHDB", "SWAPDB 0 1", "REPLICAOF NO ONE", "SLAVEOF NO ONE"},
}

func (d *deployment) testRedisRefuses(t *testing.T) {
	for user, commands := range refusedCommands {
		t.Run(user, func(t *testing.T) {
			client := d.redis.nodes[0].client(user)
			defer client.Close()
			for _, command := range commands {
				var args []any
				for word := range strings.FieldsSeq(command) {
					args = append(args, word)
				}
				if err := client.Do(t.Context(), args...).Err(); !redis.HasErrorPrefix(err, "NOPERM") {
					t.Errorf("may %s: %v", command, err)
				}
			}
		})
	}
}

// A script may do no more than its user.
func (d *deployment) testRedisScripts(t *testing.T) {
	client := d.redis.nodes[0].client("relogin")
	defer client.Close()
	for script, keys := range map[string][]string{
		`return redis.call('GET', KEYS[1])`:           {"other:x"},
		`return redis.call('GET', 'other:x')`:         {"relogin:x"},
		`return redis.call('SET', 'other:x', '1')`:    nil,
		`return redis.call('DEL', 'other:x')`:         nil,
		`return redis.call('FLUSHALL')`:               nil,
		`return redis.call('KEYS', '*')`:              nil,
		`return redis.call('PERSIST', 'relogin:x')`:   nil,
		`return redis.call('PUBLISH', 'x', 'y')`:      nil,
		`return redis.call('EXPIRE', 'relogin:x', 1)`: nil,
	} {
		if err := client.Eval(t.Context(), script, keys).Err(); !redis.HasErrorPrefix(err, "NOPERM") &&
			!redis.HasErrorPrefix(err, "The user executing the script can't") {
			t.Errorf("may %s %v: %v", script, keys, err)
		}
	}
	if err := client.Eval(t.Context(), `return redis.call('SET', KEYS[1], '1')`, []string{"relogin:x"}).Err(); err != nil {
		t.Errorf("may not write a key of its own: %v", err)
	}
}

// Nobody gets in without a name, or with a wrong password.
func (d *deployment) testRedisSignIn(t *testing.T) {
	for _, node := range []*redisNode{d.redis.nodes[0], d.redis.nodes[1], d.redis.sentinels[0]} {
		for _, test := range []struct{ user, password, says string }{
			{"", "", "NOAUTH"}, {"", "guess", "WRONGPASS"}, {"default", "guess", "WRONGPASS"}, {"relogin", "guess", "WRONGPASS"},
		} {
			client := redis.NewClient(&redis.Options{Addr: node.addr, Username: test.user, Password: test.password,
				TLSConfig: d.ca.trust(), Protocol: 2, DisableIdentity: true, MaxRetries: -1})
			if err := client.Ping(t.Context()).Err(); err == nil || !strings.HasPrefix(err.Error(), test.says) {
				t.Errorf("%s: user %q, password %q: %v", node.addr, test.user, test.password, err)
			}
			client.Close()
		}
	}
}

var luaCommand = regexp.MustCompile(`\bcall\('([A-Z]+)'`)

// users.acl permits the scripts' commands and those of a worker's start, and no others.
func TestRedisCommands(t *testing.T) {
	t.Parallel()
	want := []string{"client|setname", "info", "time", "exists", "evalsha", "eval", "get", "set"}
	scripts, err := filepath.Glob("../../cache/*.lua")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts: ", err)
	}
	for _, path := range scripts {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range luaCommand.FindAllStringSubmatch(string(source), -1) {
			want = append(want, strings.ToLower(match[1]))
		}
	}
	slices.Sort(want)
	acl, err := os.ReadFile("../../deploy/redis/users.acl")
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for line := range strings.Lines(string(acl)) {
		if strings.HasPrefix(line, "user relogin ") {
			for word := range strings.FieldsSeq(line) {
				if command, ok := strings.CutPrefix(word, "+"); ok {
					have = append(have, command)
				}
			}
		}
	}
	slices.Sort(have)
	if want = slices.Compact(want); !slices.Equal(have, want) {
		t.Errorf("users.acl permits %v, want %v", have, want)
	}
}

// checkNothingDenied fails the test when a server that runs refused anybody something.
func (s *redisSet) checkNothingDenied() {
	s.t.Helper()
	for _, node := range slices.Concat(s.nodes, s.sentinels) {
		client := node.client("operator")
		denied, err := client.ACLLog(context.Background(), 10).Result()
		if err != nil {
			s.t.Errorf("%s: %v", node.Args[1], err)
		}
		for _, one := range denied {
			s.t.Errorf("%s refused %+v", node.Args[1], *one)
		}
		client.Close()
	}
}
