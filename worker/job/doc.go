// Package job has what goes in and out of relogin: a [Job] asks for one confirmation of one
// account, and its [Event] tells how that ended. Both are msgpack or JSON, as the contract in
// docs/reference.md says; a [Delivery] is a job as the queue hands it to a worker.
//
// A program that publishes jobs or reads events needs this package and package queue, and
// builds nothing else of relogin. What a worker does with a job is in package worker.
package job
