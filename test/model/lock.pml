/* The lock of one account, as a model that Spin checks in every order of events.

   `go test ./test/model` runs it. By hand, with the bounds as -D:

     spin -a -DFAULTS=1 -DPROMPT=1 lock.pml && cc -O1 -DSAFETY -DNOREDUCE -o pan pan.c && ./pan -m100000
     spin -t -p -g -DFAULTS=1 -DPROMPT=1 lock.pml        replays the error, if there was one

   What is modelled. A few jobs of one account, each delivered once or twice, each delivery
   in a pod of its own (Handle: worker/worker.go). Redis, with the account's lock, each job's
   record and the last result (cache/begin.lua, finish.lua, release.lua, shrink.lua,
   token.lua). The prompt at the gateway. The events and acks in NATS. And all that may go
   wrong: a pod that dies or is paused, a second delivery while the first one lives, calls to
   Redis that are slow, lost, or executed after their caller gave up, prompts whose answer is
   lost, and a Redis that is restarted, flushed or failed over and has lost any of its keys
   (CRASHES, PAUSES, LOST_CALLS, FAULTS).

   Time. Clock ticks whenever it likes, so a pause can come anywhere, except between two
   statements of one atomic step. All timers count down, or up to where they no longer
   matter, so that there are finitely many states. The lease is exactly send window + prompt,
   without the margin for clocks that run at different rates: one tick less must fail. The
   dedupe window, Freshness and job-memory are as short as they may be: within a tick.

   Leases that differ (LEASES). Every other delivery's pod then has a confirm time-out of a
   tick. A pod registers its lease outside of Redis before it asks, and again when its
   registration is no longer valid, as rarely as that. A registered lease counts until the
   prompts that were granted under it are over (queue/leases.go).

   What must hold in each state that can be reached:
   1. no prompt is sent while another may be open: assert(life == 0) in send;
   2. no job prompts twice, unless Redis lost data: the assertion after it;
   3. each job ends in exactly one event. No job has two: assert(events <= 1) in publish.
      None is acked without: assert(events == 1) in Handle. No delivery gets stuck: Spin's
      check for invalid end states. And no run goes on for ever when pauses are bounded: there
      is not one cycle, found by -DNP and pan -l, no fairness assumed. A job's last delivery
      does not die here, so a run that ends has ended every job.

   Left out: tenants, deadlines, cool-down and budget (they only forbid prompts), the bound
   on deliveries, the message that is published twice under one job id, single keys that
   come back as they were long ago (but: done may turn into open again), clocks of Redis that
   jump. The gateway's online list, where there is one, may tell at any time how a
   prompt ended. And a pause between the last look at the clock and the write of the
   request, which no client can close: PAUSE_BEFORE_WRITE shows what it does.

   The mutants, -DMUTANT_<name>: each breaks one rule, and Spin must find what it was for.

     SHORT_LEASE            the lease is one tick shorter than window + prompt           1
     T0_AFTER_REPLY         t0 is read when begin has answered, not before it is sent    1
     NO_WINDOW              a grant is used however old it is                            1
     RELEASE_ON_TIMEOUT     the lock is freed when the prompt's answer is not known      1
     DOUBT_FREES            concluding `unknown` frees the lock                          1
     FREES_ANY              finish frees the lock, whoever holds it                      1
     UNNUMBERED             a late release frees a later grant of the same attempts      1
     TOKEN_IS_JOB           the token is the job's id: a second delivery voids the first 2
     PROMPTS_AGAIN          a job in doubt prompts again                                 2
     NO_QUARANTINE          a server that lost its locks grants at once                  1
     QUARANTINE_FROM_START  it counts from the process's start. That would do for one
                            that was restarted: all that it forgot was granted before.
                            A promoted replica, and a process that was flushed, are
                            older than the grants that they lack                         1
     QUARANTINE_EARLY       it counts from a tick before the server was seen             1
     NO_SECOND_LOOK         a grant that came on the first connection to it is used      1
     NO_MARK                a flush is not noticed, since the process is the same        1
     NO_CUTOFF              a promotion waits no longer than a restart, and the master
                            that was cut off still grants                                1
     UNCHECKED              a delivery that has prompted, however long ago, publishes
                            without a look at the stream                                 3
     ACK_FIRST              the message is acked before its event is stored              3
     NO_TIMER               who waits is woken by events, not by the lease's end         3
     PAUSE_BEFORE_WRITE     a pause between the last look at the clock and the write     1
     OWN_LEASE              the quarantine is as long as the lease of who saw the server 1
     LEASE_FORGOTTEN        a lease counts no longer than its registration is valid      1
     NO_SETTLING            a lease that is longer than those registered is used at once 1
*/

/* ---------- Bounds, set by -D ---------- */

#ifndef JOBS
#define JOBS 2           /* of the one account */
#endif
#ifndef DELIVERIES
#define DELIVERIES 2     /* 0 .. JOBS-1 are the jobs' first ones, JOBS+k is job k's second */
#endif
#ifndef CRASHES
#define CRASHES 0        /* of deliveries that are not their job's last */
#endif
#ifndef LOST_CALLS
#define LOST_CALLS 0     /* calls to Redis that their caller gives up */
#endif
#ifndef UNUSED
#define UNUSED 0         /* grants that come to nothing: breaker, rate, a busy gateway */
#endif
#ifndef FAULTS
#define FAULTS 0         /* restarts, flushes and failovers of Redis */
#endif
#ifndef PAUSES
#define PAUSES 255       /* attempts that a pause makes miss the send window; 255: any number */
#endif
#ifndef LIST
#define LIST 1           /* 0: the gateway has no online list */
#endif
#ifndef PROMPT
#define PROMPT 2         /* --confirm-timeout, in ticks */
#endif

#ifndef LEASES
#define LEASES 1         /* 2: every other delivery's pod has a --confirm-timeout of 1 */
#endif

#define WINDOW 1         /* --send-window */
#define CUTOFF 1         /* how long a master that was cut off goes on granting */
#ifdef MUTANT_SHORT_LEASE
#define LEASE (WINDOW + PROMPT - 1)
#else
#define LEASE (WINDOW + PROMPT)
#endif
#if LEASES == 2
#define SHORT(s)     ((s) & 1)
#define PROMPT_OF(s) (SHORT(s) -> 1 : PROMPT)
#define LEASE_OF(s)  (SHORT(s) -> WINDOW + 1 : LEASE)
#else
#define PROMPT_OF(s) PROMPT
#define LEASE_OF(s)  LEASE
#endif
#define ASKER(a)     (((a) & 7) - 1)   /* whose token it is */

#define SERVERS  (FAULTS + 1)
#define JOB(s)   ((s) % JOBS)
#define FIRST(s) ((s) < JOBS)
#define LAST(s)  ((s) + JOBS >= DELIVERIES)

/* ---------- Tokens: <attempts>#<number> ---------- */

#ifdef MUTANT_TOKEN_IS_JOB
#define TOKEN(s, spent, n) (JOB(s) + 1)
#else
#define TOKEN(s, spent, n) ((n) << 4 | (spent) << 3 | (s) + 1)
#endif
#define SAME_ATTEMPTS(a, b) ((b) != 0 && ((a) & 15) == ((b) & 15))
#ifdef MUTANT_UNNUMBERED
#define VOIDS(a, b) SAME_ATTEMPTS(a, b)
#else
#define VOIDS(a, b) (SAME_ATTEMPTS(a, b) && (b) >> 4 <= (a) >> 4)
#endif
#define OWNER(a)    JOB(ASKER(a))

/* ---------- State ---------- */

mtype = {
  WAITS, ANSWERED, OPEN, DONE, MARK,                   /* a job's record; 0: none */
  BEGIN, LOOK, SEND, WAIT, PUBLISH,                    /* what a delivery waits for */
  RELEASE, FINISH, SHRINK,                             /* and calls that it need not wait for */
  GRANTED, HELD, SHARED, IN_DOUBT, ENDED, SUSPENDED,   /* answers; DONE is one, too */
  STORED, LOST, SUPERSEDED, OK, REPLY, BUSY, TIMEOUT, CRASHED,
  REPLIED, UNKNOWN, RECONCILED,                        /* how a job ends; or SHARED, or DONE */
  RESTART, FLUSH, FAILOVER                             /* how a server came to be */
}

typedef Server {
  byte lock, lease;               /* the holder's token, and the ticks until it expires */
  mtype record[JOBS];             /* ANSWERED: waits, and a result was written since */
  byte token[JOBS];               /* of an open record; of a done one while it may be rolled back */
  byte last;                      /* the token of the last result */
  mtype origin;
  bit seen;                       /* it is registered, with the end of its quarantine */
  byte quarantine                 /* ticks until its grants count */
}

typedef Delivery {
  byte at;                        /* the newest server that its pod has seen */
  mtype call, answer;
  byte holder;                    /* the token that the answer names */
  bit spent; byte number;         /* of its own token */
  bit asking; byte age;           /* ticks since t0 */
  byte used;                      /* the token that has reached the gateway */
  bit ambiguous, known;           /* its prompt's answer is lost; its event may be stored */
  bit young, fresh;               /* taken, decided within this tick: within Freshness */
  mtype outcome; byte token;      /* what it concludes */
  mtype late; byte lateTo, lateToken; mtype lateOutcome   /* a call of it that is still on its way */
}

Server redis[SERVERS];
byte newest, cutoff;              /* server; ticks for which the one before it still serves */
Delivery delivery[DELIVERIES];
byte life, asker;                 /* the open prompt: ticks that it can still live, and whose it is */
byte events[JOBS];
bit prompted[JOBS], taken[JOBS], recent[JOBS], acked[JOBS];   /* recent: in the dedupe window */
bit lossy;                        /* Redis has lost data */
#if LEASES == 2
typedef Registration {
  byte valid, counts, settling      /* ticks */
}
Registration lease[2];            /* of the long one, and the short one */
#endif
byte crashes = CRASHES, lostCalls = LOST_CALLS, unused = UNUSED, faults = FAULTS, pauses = PAUSES;

#define me  delivery[s]
#define R   redis[g]
#define AT  redis[me.at]
#define SERVES(g)  ((g) == newest || (g) + 1 == newest && cutoff > 0)
#define MY_TOKEN   TOKEN(s, me.spent, me.number)

hidden byte g, job, token; hidden mtype script, outcome;   /* a script's server and arguments */
hidden mtype answer; hidden byte holder;                   /* and what it returns */
hidden byte i, k, found;

/* ---------- Places that must be reached, lest a property hold for want of trying ---------- */

#ifdef REACH
c_decl {
  static void visited(const char *place, char *told)
  { if (!*told) { *told = 1; printf("reached: %s\n", place); } }
}
#define reach(place, condition) \
  if :: condition -> c_code { static char told; visited(place, &told); } :: else fi
#else
#define reach(place, condition) skip
#endif

/* ---------- The scripts ---------- */

inline forget(j) { R.record[j] = 0; R.token[j] = 0 }
inline unlock()  { R.lock = 0; R.lease = 0 }

inline voidGrants() {
  if :: R.record[job] == OPEN && VOIDS(token, R.token[job]) -> forget(job) :: else fi;
  if :: VOIDS(token, R.lock) -> unlock() :: else fi
}

inline grant() {
  R.lock = token; R.lease = LEASE_OF(ASKER(token));
  R.record[job] = OPEN; R.token[job] = token;
  answer = GRANTED
}

inline beginLua() {
  voidGrants();
  if
  :: R.record[job] == MARK -> answer = ENDED
  :: R.record[job] == DONE -> answer = DONE
  :: R.record[job] == ANSWERED -> answer = SHARED
  :: R.record[job] == OPEN ->
     holder = R.token[job];
     answer = (R.lock == holder -> HELD : IN_DOUBT);
#ifdef MUTANT_PROMPTS_AGAIN
     if :: R.lock == 0 -> holder = 0; grant() :: else fi
#endif
  :: else ->
     if
     :: R.lock == 0 -> grant()
     :: R.lock != 0 && R.lock == R.last -> answer = SHARED
     :: R.lock != 0 && R.lock != R.last -> answer = HELD; holder = R.lock; R.record[job] = WAITS
     fi
  fi
}

inline writeLast() {
  R.last = token;
  for (i : 0 .. JOBS - 1) { if :: R.record[i] == WAITS -> R.record[i] = ANSWERED :: else fi }
}

#ifdef MUTANT_DOUBT_FREES
#define KEEPS(o) false
#else
#define KEEPS(o) ((o) == UNKNOWN || (o) == RECONCILED)
#endif

inline finishLua() {
  if
  :: R.record[job] == MARK -> answer = ENDED
  :: R.record[job] == DONE -> answer = DONE
  :: R.record[job] == OPEN && R.token[job] != token -> answer = SUPERSEDED
  :: else ->
     answer = (token != 0 && (R.record[job] == 0 || R.lock != token) -> LOST : STORED);
     R.record[job] = DONE;
     R.token[job] = (faults > 0 -> token : 0);
     if
     :: token != 0 && R.lock == token ->
        writeLast();
        if :: !KEEPS(outcome) -> unlock() :: else fi
     :: token != 0 && R.lock == 0 && R.last == 0 && outcome != UNKNOWN -> writeLast()
     :: token != 0 && R.lock != 0 && R.lock != token ->
        reach("a stale finish finds another's lock", true);
#ifdef MUTANT_FREES_ANY
        unlock()
#endif
     :: else
     fi
  fi
}

/* The last result matters to those who waited when it was written, and while its lock is kept. */
inline dropLast() {
  found = R.lock != 0 && R.last == R.lock;
  for (i : 0 .. JOBS - 1) { found = found || R.record[i] == ANSWERED }
  if :: !found -> R.last = 0 :: else fi
}

inline execute() {
  answer = OK; holder = 0;
  if
  :: script == BEGIN   -> beginLua()
  :: script == RELEASE -> voidGrants()
  :: script == FINISH  -> finishLua()
  :: script == SHRINK  -> if :: R.record[job] == DONE -> R.record[job] = MARK; R.token[job] = 0 :: else fi
  fi;
  dropLast()
}

/* ---------- The way to Redis ---------- */

#if LEASES == 2
#define VALIDITY 1
#ifdef MUTANT_LEASE_FORGOTTEN
#define COUNTS(s) VALIDITY
#else
#define COUNTS(s) (VALIDITY + LEASE_OF(s))
#endif
#ifdef MUTANT_NO_SETTLING
#define SETTLING 0
#else
#define SETTLING (CUTOFF + 1)
#endif
#define mine lease[SHORT(s)]
#define REGISTERED(s)  (mine.valid > 0)
#define SETTLED(s)     (mine.settling == 0)
#ifdef MUTANT_OWN_LEASE
#define LONGEST(s) LEASE_OF(s)
#else
#define LONGEST(s) (lease[0].counts > 0 -> LEASE : (lease[1].counts > 0 -> WINDOW + 1 : 0))
#endif

inline register(s) {
  if
  :: mine.counts == 0 && !SHORT(s) && lease[1].counts > 0 ->
     mine.settling = SETTLING; reach("a longer lease waits to be used", true)
  :: else
  fi;
  mine.valid = VALIDITY; mine.counts = COUNTS(s)
}
#else
#define REGISTERED(s) true
#define SETTLED(s)    true
#define LONGEST(s)    LEASE
#define register(s)   skip
#endif

/* The quarantine of a server that came to be so. */
#if defined(MUTANT_NO_QUARANTINE)
#define HOLD(s, how) 0
#elif defined(MUTANT_QUARANTINE_FROM_START)
#define HOLD(s, how) (how == RESTART -> LONGEST(s) : 0)   /* the others' processes are old */
#elif defined(MUTANT_QUARANTINE_EARLY)
#define HOLD(s, how) (how == FAILOVER -> LONGEST(s) + CUTOFF - 1 : LONGEST(s) - 1)
#elif defined(MUTANT_NO_MARK)
#define HOLD(s, how) (how == FLUSH -> 0 : LONGEST(s) + CUTOFF)
#elif defined(MUTANT_NO_CUTOFF)
#define HOLD(s, how) LONGEST(s)
#else
#define HOLD(s, how) (how == FAILOVER -> LONGEST(s) + CUTOFF : LONGEST(s))
#endif

/* Whoever connects to a server first stores the end of its quarantine, for all. The look
   for the longest lease registers its own. */
inline connect(s) {
  me.at = newest;
  if
  :: !redis[newest].seen ->
     register(s);
     redis[newest].seen = 1;
     redis[newest].quarantine = HOLD(s, redis[newest].origin)
  :: else
  fi
}

#define QUARANTINED(s)  (AT.quarantine > 0)
#ifdef MUTANT_NO_SECOND_LOOK
#define UNTRUSTED(s)    false
#else
#define UNTRUSTED(s)    QUARANTINED(s)
#endif

inline arguments(s, what) {
  script = what; job = JOB(s); outcome = me.outcome;
  token = (what == FINISH -> me.token : MY_TOKEN)
}

/* Release and finish: the caller waits, but nothing hangs on when it goes on. */
inline callNow(s, what) {
  if
  :: SERVES(me.at) -> g = me.at
  :: !SERVES(me.at) && redis[newest].origin == FLUSH -> g = newest   /* the same process */
  :: else -> connect(s); g = newest
  fi;
  arguments(s, what);
  execute()
}

/* A call that was given up is executed later or, where there is no room for it, never. */
inline giveUp(s, what) {
  if
  :: me.late == 0 ->
     arguments(s, what);
     me.late = what; me.lateTo = me.at; me.lateToken = token;
     me.lateOutcome = (what == FINISH -> outcome : 0)
  :: else
  fi
}

/* ---------- A delivery: worker.go, one block after the other ---------- */

inline raise(a) {
  if :: SAME_ATTEMPTS(MY_TOKEN, a) && (a) >> 4 > found -> found = (a) >> 4 :: else fi
}

/* A number that nothing refers to any more is used again: it makes no difference, and
   the numbers stay small. */
inline begin(s) {
  found = 0;
  raise(me.lateToken);
  for (k : 0 .. SERVERS - 1) { raise(redis[k].lock); raise(redis[k].token[JOB(s)]) }
  me.number = found + 1;
  assert(me.number < 15);
  me.asking = 1; me.age = 0;      /* t0 */
  me.call = BEGIN
}

inline heard(s)          { me.answer = 0; me.asking = 0; me.age = 0 }
inline spend(s)          { me.spent = !me.spent; me.number = 0 }
inline conclude(s, o, a) { me.outcome = o; me.token = a; me.holder = 0; me.fresh = FIRST(s) }

inline send(s) {
  reach("a job prompts again after Redis lost its record", prompted[JOB(s)]);
  assert(life == 0);
  assert(!prompted[JOB(s)] || lossy);
  life = PROMPT_OF(s); asker = s; prompted[JOB(s)] = 1;
  me.asking = 0; me.age = 0; me.used = MY_TOKEN; me.call = SEND
}

#define LATE(s)  (!FIRST(s) || !me.young)
/* Whether the stream is asked first if the job's event is there already. */
#ifdef MUTANT_UNCHECKED
#define CHECKS(s)  (me.known || !FIRST(s) || !me.fresh || me.used == 0 && LATE(s))
#else
#define CHECKS(s)  (me.known || !me.fresh || LATE(s))
#endif

inline publish(s) {
  reach("shared", me.outcome == SHARED);
  reach("unknown", me.outcome == UNKNOWN);
  reach("reconciled", me.outcome == RECONCILED);
  reach("another delivery's result", me.outcome == DONE);
  if
  :: CHECKS(s) && events[JOB(s)] > 0
  :: else ->
     if :: !recent[JOB(s)] -> events[JOB(s)]++ :: else fi;
     recent[JOB(s)] = 1
  fi;
  assert(events[JOB(s)] <= 1)
}

inline clear(s) {
  me.at = 0; me.call = 0; me.answer = 0; me.holder = 0; me.spent = 0; me.number = 0; me.asking = 0; me.age = 0;
  me.used = 0; me.ambiguous = 0; me.known = 0; me.young = 0; me.fresh = 0; me.outcome = 0; me.token = 0
}

/* It runs from one wait for an answer to the next in one step: all that can come between
   is in Environment, which gives the answers. */
proctype Handle(byte s) {
  mtype next;
  atomic {
    if
    :: FIRST(s) && (s == 0 || LEASES == 2 || LAST(s) != LAST(s - 1) || taken[s - 1]) ->   /* equal jobs: in order */
       taken[JOB(s)] = 1; me.young = 1
    :: !FIRST(s) && taken[JOB(s)] && !acked[JOB(s)] && !delivery[JOB(s)].young
    :: !FIRST(s) && acked[JOB(s)] -> assert(events[JOB(s)] == 1); goto gone
    fi;

ask:
    if :: !REGISTERED(s) -> register(s) :: else fi;
    !QUARANTINED(s) && SETTLED(s);
    if :: !REGISTERED(s) -> goto ask :: else fi;
    d_step { begin(s) };
    if
    :: me.answer == GRANTED && UNTRUSTED(s) -> heard(s); reach("granted in quarantine", true); next = SUSPENDED; goto release
    :: me.answer == GRANTED && !UNTRUSTED(s) && me.ambiguous -> heard(s); next = UNKNOWN; goto release
    :: me.answer == GRANTED && !UNTRUSTED(s) && !me.ambiguous -> me.answer = 0
    :: me.answer == SUSPENDED || me.answer == TIMEOUT -> heard(s); goto ask
    :: me.answer == HELD     -> heard(s); goto held
    :: me.answer == IN_DOUBT -> heard(s); me.known = 1;
       if :: conclude(s, UNKNOWN, me.holder) :: conclude(s, RECONCILED, me.holder) fi;
       goto finish
    :: me.answer == SHARED   -> heard(s); conclude(s, SHARED, 0); goto finish
    :: me.answer == DONE     -> heard(s); me.known = 1; conclude(s, DONE, 0); goto finish
    :: me.answer == ENDED    -> heard(s); goto ack
    :: me.answer == CRASHED  -> goto gone
    fi;
#ifdef MUTANT_T0_AFTER_REPLY
    me.age = 0;
#endif
    if
    :: LATE(s) ->
       me.call = LOOK;
       if
       :: me.answer == ENDED   -> heard(s); next = ENDED; goto release
       :: me.answer == OK      -> me.answer = 0
       :: me.answer == CRASHED -> goto gone
       fi
    :: else
    fi;
    if
    :: unused > 0 -> unused--; next = BUSY; goto release
    :: me.age > WINDOW -> reach("the send window closed", true);
#ifdef MUTANT_NO_WINDOW
       skip
#else
       next = BUSY; goto release
#endif
    :: me.age <= WINDOW
    fi;
#ifdef MUTANT_PAUSE_BEFORE_WRITE
    me.call = LOOK; if :: me.answer == OK || me.answer == ENDED -> me.answer = 0 :: me.answer == CRASHED -> goto gone fi;
#endif
    d_step { send(s) };
    if
    :: me.answer == REPLY -> me.answer = 0; conclude(s, REPLIED, me.used); spend(s); goto finish
    :: me.answer == BUSY  -> me.answer = 0; next = BUSY; goto release
    :: me.answer == TIMEOUT -> me.answer = 0; me.ambiguous = 1;
#ifdef MUTANT_RELEASE_ON_TIMEOUT
       next = UNKNOWN; goto release
#else
       spend(s); goto ask
#endif
    :: me.answer == CRASHED -> goto gone
    fi;

release:
    me.asking = 0; me.age = 0;
    if
    :: d_step { true -> callNow(s, RELEASE) }
    :: lostCalls > 0 -> lostCalls--; giveUp(s, RELEASE)
    fi;
    if
    :: next == UNKNOWN -> conclude(s, UNKNOWN, 0); next = 0; goto finish
    :: next == ENDED -> next = 0; goto ack
    :: else -> next = 0; goto ask
    fi;

held:
    me.call = WAIT;
    if
    :: me.answer == OK -> me.answer = 0; me.holder = 0; goto ask
    :: me.answer == RECONCILED -> me.answer = 0; conclude(s, RECONCILED, me.holder)
    :: me.answer == UNKNOWN -> me.answer = 0; conclude(s, UNKNOWN, me.holder)
    :: me.answer == CRASHED -> goto gone
    fi;

finish:
    if
    :: d_step { true -> callNow(s, FINISH); me.answer = answer }
    :: lostCalls > 0 -> lostCalls--; giveUp(s, FINISH); goto finish
    :: lostCalls > 0 -> lostCalls--; giveUp(s, FINISH); me.answer = TIMEOUT; me.fresh = 0   /* no longer */
    fi;
    reach("the lease was lost", me.answer == LOST);
    reach("superseded", me.answer == SUPERSEDED);
    if
    :: me.answer == STORED || me.answer == TIMEOUT -> me.answer = 0
    :: me.answer == LOST || me.answer == DONE -> me.answer = 0; me.known = 1
    :: me.answer == ENDED -> me.answer = 0; me.outcome = 0; me.token = 0; goto ack
    :: me.answer == SUPERSEDED -> me.answer = 0; me.outcome = 0; me.token = 0; me.fresh = 0; goto ask
    fi;

#ifdef MUTANT_ACK_FIRST
    acked[JOB(s)] = 1;
#endif
    me.call = PUBLISH;
    if
    :: me.answer == OK -> me.answer = 0
    :: me.answer == CRASHED -> goto gone
    fi;

ack:
    assert(events[JOB(s)] == 1);
    acked[JOB(s)] = 1;
    giveUp(s, SHRINK);

gone:
    next = 0; clear(s)
  }
}

/* ---------- What happens to a delivery ---------- */

#define OWN_PROMPT(s)  (OWNER(me.holder) == JOB(s) && (me.ambiguous || !FIRST(s)))
#ifdef MUTANT_NO_TIMER
#define LOCK_CHANGED(s) (AT.lock != me.holder && AT.lock != 0)
#else
#define LOCK_CHANGED(s) (AT.lock != me.holder)
#endif
#define WOKEN(s)       (!SERVES(me.at) || LOCK_CHANGED(s) || AT.lock != 0 && AT.last == AT.lock || \
                        AT.record[JOB(s)] == DONE || AT.record[JOB(s)] == MARK || AT.record[JOB(s)] == ANSWERED)
#define FORGOTTEN      (redis[newest].origin == FLUSH)

inline reply(s, a)     { me.call = 0; me.answer = a }

proctype Environment(byte s) {
end:
  do
  /* Redis executes begin, or a call that was given up */
  :: d_step { me.call == BEGIN && SERVES(me.at) ->
       g = me.at; arguments(s, BEGIN); execute();
       reach("granted by a master that was cut off", answer == GRANTED && me.at != newest);
       me.holder = holder; reply(s, answer) }
  :: d_step { me.late != 0 && SERVES(me.lateTo) ->
       g = me.lateTo; script = me.late; job = JOB(s); token = me.lateToken; outcome = me.lateOutcome; execute();
       reach("a late begin is granted", answer == GRANTED);
       reach("a late release finds a lock", script == RELEASE && R.lock != 0);
       me.late = 0; me.lateTo = 0; me.lateToken = 0; me.lateOutcome = 0 }
  :: d_step { me.late != 0 && !SERVES(me.lateTo) ->
       me.late = 0; me.lateTo = 0; me.lateToken = 0; me.lateOutcome = 0 }
  /* its pod meets a new server: by a new connection or, after a flush, by begin's answer */
  :: d_step { me.call == BEGIN && me.at != newest ->
       connect(s);
       if :: FORGOTTEN && QUARANTINED(s) -> reply(s, SUSPENDED) :: else fi }
  /* nobody answers */
  :: d_step { me.call == BEGIN && lostCalls > 0 -> lostCalls--; giveUp(s, BEGIN); reply(s, TIMEOUT) }
  :: d_step { (me.answer == GRANTED || me.answer == HELD || me.answer == SHARED || me.answer == IN_DOUBT) && lostCalls > 0 ->
       lostCalls--; me.holder = 0; me.answer = TIMEOUT }
  :: d_step { me.call == SEND -> reply(s, TIMEOUT) }
  /* what it waits for happens */
  :: d_step { me.call == WAIT && WOKEN(s) -> reply(s, OK) }
  :: d_step { me.call == WAIT && OWN_PROMPT(s) && LIST -> reply(s, RECONCILED) }
  :: d_step { me.call == WAIT && OWN_PROMPT(s) && me.ambiguous -> reply(s, UNKNOWN) }
  :: d_step { me.call == LOOK -> reply(s, (events[JOB(s)] > 0 -> ENDED : OK)) }
  :: d_step { me.call == PUBLISH ->
       publish(s); reply(s, OK);
       me.outcome = 0; me.token = 0; me.known = 0; me.young = 0; me.fresh = 0 }
  /* its pod dies */
  :: d_step { crashes > 0 && !LAST(s) && (me.call != 0 || me.answer != 0) ->
       crashes--;
       if :: me.call == BEGIN -> giveUp(s, BEGIN) :: else fi;
       clear(s); me.answer = CRASHED }
  od
}

/* ---------- The person, the clock, and the operator ---------- */

inline answerAsker(a) {
  if :: delivery[asker].call == SEND -> delivery[asker].call = 0; delivery[asker].answer = a :: else fi;
  life = 0; asker = 0
}

proctype Gateway() {
end:
  do
  :: d_step { life > 0 -> answerAsker(REPLY) }
  :: d_step { life > 0 && unused > 0 -> unused--; prompted[JOB(asker)] = 0; answerAsker(BUSY) }
  od
}

#if DELIVERIES == 2
#define ANY_DELIVERY(p) (p(0) || p(1))
#elif DELIVERIES == 3
#define ANY_DELIVERY(p) (p(0) || p(1) || p(2))
#elif DELIVERIES == 4
#define ANY_DELIVERY(p) (p(0) || p(1) || p(2) || p(3))
#endif
#if JOBS == 1
#define ANY_JOB(p) p(0)
#elif JOBS == 2
#define ANY_JOB(p) (p(0) || p(1))
#elif JOBS == 3
#define ANY_JOB(p) (p(0) || p(1) || p(2))
#endif
#if FAULTS == 0
#define ANY_SERVER(p) p(0)
#elif FAULTS == 1
#define ANY_SERVER(p) (p(0) || p(1))
#elif FAULTS == 2
#define ANY_SERVER(p) (p(0) || p(1) || p(2))
#endif

#define AGES(s)     (delivery[s].asking && delivery[s].age <= WINDOW || delivery[s].young || delivery[s].fresh)
#define IN_TIME(s)  (delivery[s].asking && delivery[s].age == WINDOW)
#define RECENT(j)   recent[j]
#define MARKED(j)   (redis[newest].record[j] == MARK)
#define EXPIRES(g)  (redis[g].lease > 0 || redis[g].quarantine > 0)
#define UNDONE(j)   !acked[j]
#if LEASES == 2
#define LEASES_AGE  (lease[0].counts > 0 || lease[0].settling > 0 || lease[1].counts > 0)
#else
#define LEASES_AGE  false
#endif

inline countDown(n) { if :: n > 0 -> n-- :: else fi }

inline erase() {
  unlock(); R.last = 0; R.origin = 0; R.seen = 0;
  for (i : 0 .. JOBS - 1) { forget(i) }
}

/* A tick can come at any time, so that each step above can last for as long as it likes. */
proctype Clock() {
end:
  do
  :: d_step {
       (pauses > 0 || !ANY_DELIVERY(IN_TIME)) &&
       (life > 0 || cutoff > 0 || ANY_DELIVERY(AGES) || ANY_JOB(RECENT) || ANY_JOB(MARKED) || ANY_SERVER(EXPIRES) || LEASES_AGE) ->
       if :: ANY_DELIVERY(IN_TIME) && pauses < 255 -> pauses-- :: else fi;
       countDown(life);
       if :: life == 0 -> asker = 0 :: else fi;
       for (k : 0 .. DELIVERIES - 1) {
         if :: delivery[k].asking && delivery[k].age <= WINDOW -> delivery[k].age++ :: else fi;
         delivery[k].young = 0; delivery[k].fresh = 0
       }
       for (g : 0 .. SERVERS - 1) {
         countDown(R.quarantine);
         countDown(R.lease);
         if :: R.lease == 0 -> R.lock = 0 :: else fi;
         for (i : 0 .. JOBS - 1) { if :: R.record[i] == MARK -> R.record[i] = 0 :: else fi }
         dropLast()
       }
       for (i : 0 .. JOBS - 1) { recent[i] = 0 }
#if LEASES == 2
       for (k : 0 .. 1) { countDown(lease[k].valid); countDown(lease[k].counts); countDown(lease[k].settling) }
#endif
       if :: cutoff == 1 -> g = newest - 1; erase() :: else fi;
       countDown(cutoff)
     }
  od
}

#if FAULTS
/* What the new server has of its predecessor's data. */
inline inherit() {
  redis[newest].lock = R.lock; redis[newest].lease = R.lease; redis[newest].last = R.last;
  for (i : 0 .. JOBS - 1) { redis[newest].record[i] = R.record[i]; redis[newest].token[i] = R.token[i] }
}

inline replace(how) {
  if :: cutoff > 0 -> g = newest - 1; erase() :: else fi;
  g = newest; newest++;
  redis[newest].origin = how;
  if :: how != FLUSH -> inherit() :: else fi;
  cutoff = (how == FAILOVER -> CUTOFF + 1 : 0);
  if :: how != FAILOVER -> erase() :: else fi;
  g = newest
}

proctype Operator() {
  byte j;
end:
  do
  :: atomic { faults > 0 && ANY_JOB(UNDONE) ->
       faults--;
       if
       :: d_step { true -> replace(FLUSH); lossy = 1 }
       :: d_step { true -> replace(RESTART) }
       :: d_step { true -> replace(FAILOVER); lossy = 1 }
       fi;
       if
       :: redis[newest].origin == FLUSH
       :: redis[newest].origin != FLUSH ->            /* the last writes are lost: any of them */
          if :: true :: redis[newest].lock != 0 -> lossy = 1; redis[newest].lock = 0; redis[newest].lease = 0 fi;
          for (j : 0 .. JOBS - 1) {
            if
            :: true
            :: redis[newest].record[j] != 0 -> lossy = 1; redis[newest].record[j] = 0; redis[newest].token[j] = 0
            :: redis[newest].record[j] == DONE && redis[newest].token[j] != 0 -> lossy = 1; redis[newest].record[j] = OPEN
            fi
          }
       fi;
       d_step {
         j = 0; g = newest; dropLast();
         reach("the lock of an open prompt is lost", life > 0 && redis[newest].lock == 0);
         for (i : 0 .. JOBS - 1) { if :: lossy -> prompted[i] = 0 :: else fi }
       }
     }
  od
}
#endif

init {
  byte n;
  atomic {
    for (n : 0 .. DELIVERIES - 1) { run Handle(n); run Environment(n) }
    run Gateway(); run Clock();
#if FAULTS
    run Operator();
#endif
    n = 0
  }
}
