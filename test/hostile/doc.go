// Package hostile holds the tests of the fifth promise: an account, tenant, gateway,
// reply, header or Redis shard that waits, fails or misbehaves delays no other.
//
// Each case has a deployment of its own: a nats-server, Redis, the built binary as pods,
// and the simulated gateway. Healthy accounts send jobs at a steady rate, alone at first,
// and then beside one thing that misbehaves, or several. An oracle judges every job's
// event, the prompts, how late the healthy jobs' events were, and the pods' memory.
//
//	go test ./test/hostile                                   a few cases, small
//	go test ./test/hostile -v -timeout 0 -args -long         every case in full, with the bound of 3 s
//	go test ./test/hostile -v -args -only poison,mended      these, small
//
// It needs Linux and a redis-server on the PATH.
package hostile
