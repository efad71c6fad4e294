// Package faults holds the fault tests: a deployment of real server processes and at
// least three worker processes under load, to which everything happens that can happen
// to one, while people pause, resume and cancel, and bring dead letters back. It checks what the
// product promises, and prints a table.
//
//	go test ./test/faults -v -args -for 1h -seed 7
//
// It needs Linux and a redis-server on the PATH.
package faults
