// Package cache keeps the lock of each account and the record of each job in Redis.
// It implements [worker.Locker]. Each call is one Lua script, one round trip, and many
// callers' scripts share one pipeline, which takes along what nobody waits for: Shrink and
// Snooze, many jobs in one script where they may be in one slot. The common case stands first in a script, with as
// few commands as it needs; settings are part of a script's text.
//
// # Keys
//
// All keys of one call share a Cluster slot: <account> is [worker.AccountToken], and
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
//	    1                              the mark: its event is stored; [Options.JobMemory]
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
// only its mark is left, and where somebody waited, for about a lease, waiting and last.
//
// # What Begin answers
//
// A lock, or an open record, with the ask's own Token or an earlier one of the same
// attempts was granted to this process and not used: it is void, together with its entry
// among the prompts, and the rows from the third on see neither. The first row that fits
// is the answer.
//
//	record    lock                       otherwise                         answer
//	mark      any                                                          Ended
//	done      any                                                          Done, Known
//	open(T)   T                                                            Held, Own
//	open(T)   another, or none                                             InDoubt
//	waits(T)  any                        last is T's, or is not older      Shared
//	or took                              than since; same tenant
//	any       T, and last is T's (kept)  same tenant                       Shared
//	any       held                       the deadline has passed           TooLate
//	any       held                                                         Held; writes waits, unless took,
//	                                                                       and waiting, once a lock
//	any       free                       less than MinConfirmTime is left  TooLate
//	any       free                       cool, or the daily budget is used Cooling
//	any       free                                                         Granted; writes lock, open, prompts
//
// Whatever is answered to a job whose record is took is Known too: another delivery has
// concluded it, whose event may be stored. The result of a confirmation is sent with
// Shared, but not to who says that it has it ([worker.Ask].Have).
//
// A job that waits shares any confirmation that ended since it was told to wait, not
// only the one that it was told about: a grant may be released unused, and the next one
// is then the tap that answers everybody. The time compared is the server's own on both
// sides; after a failover to a server whose clock lags, the worst is one more prompt.
//
// A token is <attempts>#<number>; the next ask of the same attempts has the next number.
// An ask or a release that Redis executes late, after its caller gave it up and asked
// again, finds a later number and changes nothing but who waits. One that executes after
// everything was released leaves a lock that nobody uses, until its lease ends.
//
// # What Finish does
//
//	record            does
//	done, mark,       for an invalid job nothing; [worker.ErrEnded] for the first two, else
//	open, waits, took [worker.ErrSuperseded]
//	void, none        for an invalid job stores void, unless it was that message's; never more
//	done              nothing; returns the stored result
//	mark              nothing; [worker.ErrEnded]
//	open(T), T not    nothing; [worker.ErrSuperseded]
//	the token's
//	waits, took,      with another job's outcome and no token: stores took, with since as it
//	none              was, or now and that confirmation's token; nothing where it was took
//	open(token),      stores done; sets cool; and by the lock:
//	waits, took,        the token's: writes last when somebody waits or Keep; frees it unless Keep
//	none                another's: [worker.ErrLeaseLost]
//	                    none: [worker.ErrLeaseLost]; writes last when somebody waits, none is
//	                    there, and the outcome is not unknown
//
// Without a record the answer is [worker.ErrLeaseLost] also when the lock is the token's:
// another delivery may have ended the job, and its mark expired. Without a token only the
// first column counts. The answer is First where the record was open(token), and the lock
// still the token's, or, without a token, where it was waits, since before
// [worker.Conclusion].Sole. Finishing again with the same arguments returns the same
// result and no error. A conclusion of a job in doubt
// passes the token that was lost, and so gets ErrLeaseLost beside its result: expected there. Its
// unknown is not shared, since the account is free and those who wait may ask the person.
//
// # Servers that lost data
//
// A lock may be gone whose prompt is still open when Redis was restarted, wiped or failed
// over: see [Trust]. <ns>:mark goes with the other keys when somebody flushes them; only
// a Cluster has none. A server that may evict keys is refused; while one that was
// reconfigured may, which is seen within 12 s, nothing is granted, and once it has evicted
// some it counts as another one. A replica that was
// promoted waits 15 s longer, for the pods that still ask the master which was cut off:
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
