package gatewaytest

import (
	"strings"
	"time"
)

// Answer is how a prompt ends.
type Answer string

// The answers.
const (
	Confirm Answer = "confirm" // the account is logged in
	Decline Answer = "decline" // the person says no
	Ignore  Answer = "ignore"  // nobody answers: the prompt lives for Options.PromptLife, then fails
	Scan    Answer = "scan"    // the platform wants a QR scan
)

// Fault is how the gateway fails to reply. Unless said otherwise a prompt opens, and the
// person answers it all the same: only the list of who is online tells.
type Fault string

// The faults.
const (
	Unauthorized Fault = "unauthorized" // HTTP 401, no prompt
	Busy         Fault = "busy"         // HTTP 503, no prompt
	ServerError  Fault = "error"        // HTTP 500 at once
	Reset        Fault = "reset"        // the connection is reset at once
	Hang         Fault = "hang"         // never a reply
	Garbage      Fault = "garbage"      // HTML at once
	Empty        Fault = "empty"        // an empty reply at once
	Huge         Fault = "huge"         // a reply of 2 MB at once
	Half         Fault = "half"         // half a reply at once, then the end of the connection
	Redirect     Fault = "redirect"     // HTTP 307 to the same address at once
)

// Behaviour is what an account's phone and the gateway do. The zero value confirms.
type Behaviour struct {
	Answer    Answer        // Confirm unless set
	After     time.Duration // until the answer; Options.ConfirmAfter and its jitter unless set
	Manual    bool          // the prompt waits for [Gateway.Answer], and dies after its life
	Nested    bool          // a failure is replied as an envelope within a successful one
	Fault     Fault         // none unless set
	DataBytes int           // of a login's data; 512 unless set
}

// behaviourOf returns what the wcId asks for.
func behaviourOf(wcID string) Behaviour {
	word, _, _ := strings.Cut(wcID, "-")
	switch word {
	case "decline", "ignore", "scan":
		return Behaviour{Answer: Answer(word)}
	case "nested":
		return Behaviour{Answer: Scan, Nested: true}
	case "unauthorized", "busy", "error", "reset", "hang", "garbage", "empty", "huge", "half", "redirect":
		return Behaviour{Fault: Fault(word)}
	}
	return Behaviour{}
}
