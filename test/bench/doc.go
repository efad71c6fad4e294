// Command bench measures relogin beside what one would write instead, and checks the
// figures that the project promises. It is a module of its own, so that what it compares
// with stays out of the product's dependencies.
//
//	make bench            all of it, about a quarter of an hour on two cores; writes docs/performance.md
//	make bench ONLY=throughput,latency ROUNDS=3
//
// It starts a nats-server with file storage, a redis-server without persistence and a
// gateway on loopback, each a process, runs the same jobs through each contestant in turn,
// each a process too, and reads CPU time and memory from the operating system. Linux alone.
package main
