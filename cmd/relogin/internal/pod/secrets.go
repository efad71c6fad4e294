package pod

import (
	"encoding/base64"
	"fmt"

	"github.com/nats-io/nkeys"

	"github.com/relogin/relogin/worker"
)

// protector returns what --event-secrets does to a login before anybody stores it: nil
// for include; omit empties token and data; seal:<public xkey> encrypts each of them to
// the holder of that curve key, as
//
//	seal:<public xkey of the sender>:<base64url of what nkeys' Seal returns>
//
// which nkeys.KeyPair.Open undoes. The sender's key is new for each secret. What can't
// be sealed is left out.
func protector(o OutputSettings) func(*worker.Login) {
	switch {
	case o.SealTo != "":
		return func(l *worker.Login) { l.Token, l.Data = seal(l.Token, o.SealTo), seal(l.Data, o.SealTo) }
	case o.OmitSecrets:
		return func(l *worker.Login) { l.Token, l.Data = "", "" }
	}
	return nil
}

func seal(secret, recipient string) string {
	if secret == "" {
		return ""
	}
	sealed, err := trySeal(secret, recipient)
	if err != nil {
		return ""
	}
	return sealed
}

func trySeal(secret, recipient string) (string, error) {
	sender, err := nkeys.CreateCurveKeys()
	if err != nil {
		return "", fmt.Errorf("create key: %w", err)
	}
	defer sender.Wipe()
	public, err := sender.PublicKey()
	if err != nil {
		return "", fmt.Errorf("read key: %w", err)
	}
	box, err := sender.Seal([]byte(secret), recipient)
	if err != nil {
		return "", fmt.Errorf("seal: %w", err)
	}
	return "seal:" + public + ":" + base64.RawURLEncoding.EncodeToString(box), nil
}
