// Package gatewaytest simulates the gateway and the phones behind it, as net/http has
// httptest. It counts how many prompts are open on each phone: more than one at a time
// is what relogin must never cause.
//
// [Gateway] is an [http.Handler], and [NewServer] serves one on loopback:
//
//	POST /secondLogin    opens a prompt, and replies when it has ended
//	POST /queryLoginWx   the accounts that are logged in, with the wId of the last login
//	GET  /stats          a [Stats] as JSON
//	GET  /prompts        each [Prompt] as a line of JSON, oldest first; ?wcId= for one account
//
// A prompt opens when the request has been read. It is open until the person has
// answered or [Options].PromptLife has passed, whether or not the caller is still
// there. A confirmed account is logged in, with a new wId each time. Logins are random and
// look like the real ones, but for the word "fake" in each.
//
// [Gateway.Set] says what an account's phone does. Where nothing was set, the part of
// the wcId before the first "-" says it, so that other processes can choose too: a word of
// [Answer] or [Fault], or "nested", which is a scan replied as an envelope within a
// successful one. All other accounts confirm after Options.ConfirmAfter.
package gatewaytest
