// Package test drives the built binary against real servers, from end to end.
package test
