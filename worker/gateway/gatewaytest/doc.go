// Package gatewaytest simulates the gateway and the phones behind it, as net/http has
// httptest. It counts how many prompts are open on each phone: more than one at a time
// is what relogin must never cause.
//
// [Gateway] is an [http.Handler]:
//
//	POST /secondLogin    opens a prompt, and replies when it has ended
//	POST /queryLoginWx   the accounts that are logged in, with the wId of the last login
//	GET  /stats          a [Stats] as JSON
//	GET  /prompts        each [Prompt] as a line of JSON, oldest first; ?wcId= for one account
//
// [NewServer] serves one on loopback.
//
// # Prompts
//
// A prompt opens when the request has been read. It is open until the person has
// answered or [Options].PromptLife has passed, whether or not the caller is still
// there. A confirmed account is logged in, with a new wId each time.
//
// # Phones
//
// [Gateway.Set] says what an account's phone does. Where nothing was set, the part of
// the wcId before the first "-" says it, so that other processes can choose too:
//
//	confirm        the person confirms after Options.ConfirmAfter; so do all not listed
//	decline        the person says no
//	ignore         nobody answers: the prompt lives for Options.PromptLife, then fails
//	scan           the platform wants a QR scan
//	nested         the same, replied as an envelope within a successful one
//	unauthorized   HTTP 401, no prompt
//	busy           HTTP 503, no prompt
//	error          a prompt opens; HTTP 500 at once
//	reset          a prompt opens; the connection is reset at once
//	hang           a prompt opens; there is never a reply
//	garbage        a prompt opens; HTML at once
//	empty          a prompt opens; an empty reply at once
//	huge           a prompt opens; a reply of 2 MB at once
//	half           a prompt opens; half a reply at once, then the connection ends
//	redirect       a prompt opens; HTTP 307 to the same address at once
//
// From error on, the person confirms all the same: the account gets logged in, and
// only the list of who is online tells.
//
// Logins are random and look like the real ones, but for the word "fake" in each.
package gatewaytest
