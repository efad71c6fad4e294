package pod

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"github.com/nats-io/nkeys"

	"github.com/relogin/relogin/worker/job"
)

// protector returns what a value of --event-secrets does to a login before anybody stores
// it: nothing for include; omit empties token and data; seal:<public xkey> encrypts each of
// them to the holder of that curve key, as
//
//	seal:<public xkey of the sender>:<base64url of what nkeys' Seal returns>
//
// which nkeys.KeyPair.Open undoes. The sender's key is new for each secret. What can't
// be sealed is left out.
func protector(text string) (func(*job.Login), error) {
	key, sealed := strings.CutPrefix(text, "seal:")
	switch {
	case sealed && nkeys.IsValidPublicCurveKey(key):
		return func(l *job.Login) { l.Token, l.Data = seal(l.Token, key), seal(l.Data, key) }, nil
	case sealed:
		return nil, errors.New("want seal: and a public xkey, which begins with X")
	case text == "omit":
		return func(l *job.Login) { l.Token, l.Data = "", "" }, nil
	case text != "include":
		return nil, errors.New("want include, omit or seal:<public xkey>")
	}
	return func(*job.Login) {}, nil
}

// showSecrets hides a key in an error: it may be the private one.
func showSecrets(text string) string {
	if strings.HasPrefix(text, "seal:") {
		text = "seal:(hidden)"
	}
	return strconv.Quote(text)
}

func seal(secret, recipient string) string {
	if secret == "" {
		return ""
	}
	sender, _ := nkeys.CreateCurveKeys() // it can't fail: without randomness Go ends the process
	defer sender.Wipe()
	public, _ := sender.PublicKey() // nor can this, of a new pair
	box, err := sender.Seal([]byte(secret), recipient)
	if err != nil {
		return ""
	}
	return "seal:" + public + ":" + base64.RawURLEncoding.EncodeToString(box)
}
