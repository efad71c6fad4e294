package queue

import (
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What a server refuses a message for, by nats-server's errors.json. All others, among
// them a full store and a lost quorum, are of the server's state and pass, or of headers
// that this package does not set.
const (
	codeMessageTooLarge jetstream.ErrorCode = 10054 // the stream's max_msg_size
	codeStoreFailed     jetstream.ErrorCode = 10077 // many reasons, told apart by the text
	codeHeadersTooLarge jetstream.ErrorCode = 10097 // more than 64 KiB

	storeTooLarge = "message too large" // for a file store's record
)

// tooLarge tells whether a message was refused for its size: no try will store it.
func tooLarge(err error) bool {
	var refusal *jetstream.APIError
	if !errors.As(err, &refusal) {
		return errors.Is(err, nats.ErrMaxPayload)
	}
	switch refusal.ErrorCode {
	case codeMessageTooLarge, codeHeadersTooLarge:
		return true
	case codeStoreFailed:
		return refusal.Description == storeTooLarge
	}
	return false
}
