package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/bsm/redislock"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
	"github.com/vmihailenco/msgpack/v5"
)

// atOnce is how many confirmations each contestant holds open, unless BENCH_AT_ONCE is set.
const atOnce = 512

// poolSize is the others' connections to Redis, unless BENCH_POOL_SIZE is set: of 20, 64, 128
// and 512 the one with which redislock and watermill did most jobs a second.
const poolSize = 128

// lockTTL is how long the others lock an account.
const lockTTL = 5 * time.Minute

// contestants are what one would write instead of relogin.
var contestants = map[string]func(context.Context, *setting) error{
	"floor":     runFloor,
	"redislock": runRedislock,
	"pipelined": runPipelined,
	"watermill": runWatermill,
	"asynq":     runAsynq,
}

// setting is where a contestant finds its servers, and what all of them share.
type setting struct {
	natsURL, redisURL, gatewayURL, namespace string
	client                                   *http.Client
	atOnce                                   int
	poolSize                                 int // connections to Redis
}

func newSetting() *setting {
	n := fromEnvironment("BENCH_AT_ONCE", atOnce)
	return &setting{
		atOnce: n, poolSize: fromEnvironment("BENCH_POOL_SIZE", poolSize),
		natsURL: os.Getenv("BENCH_NATS"), redisURL: os.Getenv("BENCH_REDIS"),
		gatewayURL: os.Getenv("BENCH_GATEWAY"), namespace: os.Getenv("BENCH_NAMESPACE"),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n}},
	}
}

// fromEnvironment returns the variable's number, or the default where it has none.
func fromEnvironment(variable string, fallback int) int {
	if n, err := strconv.Atoi(os.Getenv(variable)); err == nil {
		return n
	}
	return fallback
}

// result is the event, with the keys that relogin's has.
type result struct {
	ID          string    `msgpack:"id"`
	JobID       string    `msgpack:"jobId"`
	WcID        string    `msgpack:"wcId"`
	Tenant      string    `msgpack:"tenant"`
	Outcome     string    `msgpack:"outcome"`
	Code        string    `msgpack:"code"`
	Message     string    `msgpack:"message"`
	Login       login     `msgpack:"login"`
	Prompted    bool      `msgpack:"prompted"`
	Attempts    int       `msgpack:"attempts"`
	Worker      string    `msgpack:"worker"`
	RequestedAt time.Time `msgpack:"requestedAt"`
	StartedAt   time.Time `msgpack:"startedAt"`
	FinishedAt  time.Time `msgpack:"finishedAt"`
}

type login struct {
	WcID     string `json:"wcId" msgpack:"wcId"`
	WID      string `json:"wId" msgpack:"wId"`
	NickName string `json:"nickName" msgpack:"nickName"`
	HeadURL  string `json:"headUrl" msgpack:"headUrl"`
	Status   int    `json:"status" msgpack:"status"`
	Token    string `json:"token" msgpack:"token"`
	Data     string `json:"data" msgpack:"data"`
}

// confirm calls the gateway, and returns the event, also encoded.
func (s *setting) confirm(ctx context.Context, j job, storedAt time.Time) (*result, []byte, error) {
	r := &result{ID: "event-" + j.WcID + "-" + j.ID, JobID: j.ID, WcID: j.WcID, Tenant: "default", Outcome: "succeeded",
		Prompted: true, Attempts: 1, Worker: "pod", StartedAt: time.Now()}
	ask, err := json.Marshal(map[string]any{"wcId": j.WcID, "type": 2})
	if err != nil {
		return nil, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.gatewayURL+"/secondLogin", bytes.NewReader(ask))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, nil, err
	}
	var reply struct {
		Code, Message string
		Data          login
	}
	if err := json.Unmarshal(answer, &reply); err != nil || reply.Code != "1000" {
		return nil, nil, fmt.Errorf("unexpected reply %q: %w", answer, err)
	}
	r.Code, r.Message, r.Login, r.FinishedAt = reply.Code, reply.Message, reply.Data, time.Now()
	r.RequestedAt = storedAt
	event, err := msgpack.Marshal(r)
	return r, event, err
}

func (s *setting) eventSubject(r *result) string {
	return s.namespace + ".events." + r.Outcome + "." + r.WcID
}

// publish stores the event, synchronously, with its id.
func (s *setting) publish(ctx context.Context, js jetstream.JetStream, r *result, event []byte) error {
	_, err := js.PublishMsg(ctx, &nats.Msg{Subject: s.eventSubject(r), Data: event,
		Header: nats.Header{nats.MsgIdHdr: {r.ID}, "Content-Type": {"application/msgpack"}}})
	return err
}

func (s *setting) jetStream() (*nats.Conn, jetstream.JetStream, error) {
	nc, err := nats.Connect(s.natsURL)
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(nc)
	return nc, js, err
}

// redis has calls wait for a connection as long as they must.
func (s *setting) redis() (*redis.Client, error) {
	o, err := redis.ParseURL(s.redisURL)
	if err != nil {
		return nil, err
	}
	o.PoolSize, o.PoolTimeout = s.poolSize, time.Minute
	return redis.NewClient(o), nil
}

// locked runs do under the lock of the job's account.
func locked(ctx context.Context, locks *redislock.Client, j job, do func() error) error {
	lock, err := locks.Obtain(ctx, "lock:"+j.WcID, lockTTL, nil)
	if err != nil {
		return err
	}
	err = do()
	if released := lock.Release(ctx); err == nil {
		err = released
	}
	return err
}
