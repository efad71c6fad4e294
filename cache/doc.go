// Package cache is no cache: it is the lock of each account and the record of each job, in
// Redis. It implements [worker.Locker], whose tables say what each call answers and does. Each
// call is one Lua script, one round trip, and many callers' scripts share one pipeline, which
// takes along what nobody waits for: Shrink and Snooze. The common case stands first in a
// script, with as few commands as it needs; settings are part of a script's text.
//
// # Keys
//
// All keys of one call share a Cluster slot: <account> is [job.AccountToken], and
// <ns> the namespace.
//
//	<ns>:{<account>}:lock            <n>:<token><n>:<job><n>:<pod><prompted>; expires with the lease
//	                                 n: the bytes that follow; prompted: when it was counted, if it was
//	<ns>:{<account>}:job:<job>       the job's record, one of
//	    waits:<since>:<token>          was answered Held by that token; lease + 1 min
//	    took:<since>:<token>           has ended with the outcome of that confirmation, or of a
//	                                   later one, whose result is in last; [Options.EventMaxAge]
//	    open:<stored at>:<token>       was granted, may have prompted; [Options.EventMaxAge]
//	    void:<stored at>:<digest>      was invalid, as that message has it; for others, and for
//	                                   Begin, there is no record; [Options.JobMemory]
//	    done:<stored at>:<result>      has ended, msgpack; [Options.EventMaxAge]
//	    1                              tombstone: its event is stored; [Options.JobMemory]
//	<ns>:{<account>}:waiting         somebody was answered Held; lease + 1 min
//	<ns>:{<account>}:last:<tenant>   hash token, job, at, result: the tenant's last confirmation; lease
//	<ns>:{<account>}:cool            why no prompt is allowed; expires with the cool-down
//	<ns>:{<account>}:prompts         list of the times of the last prompts; 24 h
//	<ns>:{<account>}:excused:<job>   deliveries that do not count; [Options.EventMaxAge]
//	<ns>:mark                        names what the server remembers; has no end
//	<ns>:rate:<tenant>               when the tenant's next place is free, in µs
//
// Times are Unix milliseconds of the Redis server's clock, the only one that is asked;
// a job's stored-at is carried, never compared. Once a job has ended and was shrunk,
// only its tombstone is left, and where somebody waited, for about a lease, waiting and last.
//
// A job that waits shares any confirmation that ended since it was told to wait, not
// only the one that it was told about: a grant may be released unused, and the next one
// is then the tap that answers everybody. The time compared is the server's own on both
// sides; after a failover to a server whose clock lags, the worst is one more prompt.
// An ask that Redis executes after everything was released leaves a lock that nobody uses,
// until its lease ends.
//
// # Servers that lost data
//
// A lock may be gone whose prompt is still open when Redis was restarted, wiped or failed
// over: see [IncarnationStore]. <ns>:mark goes with the other keys when somebody flushes them;
// only a Cluster has none. A server that may evict keys is refused; while one that was
// reconfigured may, which is seen within 12 s, nothing is granted, and once it has evicted some
// it counts as another one. A replica that was promoted waits 15 s longer, for the pods that
// still ask the master which was cut off:
// set min-replicas-to-write 1 and leave min-replicas-max-lag at 10 s. A master that has no
// replica for repl-backlog-ttl changes its replication id, and waits a lease without need.
// What can't be seen is the loss of single keys, a clock of the server that jumps ahead by more
// than the lease's margin, and a server that REPLICAOF, typed by hand, made a replica and
// a master again within the minute that a connection lives; Sentinel cuts connections then.
//
// # Permissions
//
// A Redis user needs its keys (<ns>:*) and +client|setname +info +time +exists +evalsha
// +eval +get +getrange +set +del +incr +pexpire +pttl +hset +hmget +lindex +lrem +rpush +ltrim;
// in a Cluster also +cluster|slots +cluster|myid +command +readonly. The sentinels' user needs
// +client|setname +info +ping +subscribe +sentinel|get-master-addr-by-name
// +sentinel|sentinels &+switch-master &+replica-reconf-done.
package cache
