package terminal

import (
	"os/exec"
	"testing"
)

// A shell reads what is shown as the one word that it stands for, and runs nothing of it.
func TestArgument(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatalf("bash is what these are for: %v", err)
	}
	for _, s := range []string{"", "wxid_42", "微信", "a b", "$(exit 7)", "`id`;id", "it's", `a\n"b"`, "~", "=x", "*.>", "!!", "a\x1b[31m\n'", "\u202e", "-n"} {
		out, err := exec.CommandContext(t.Context(), bash, "-c", "printf '%s|' "+Argument(s)).CombinedOutput()
		if err != nil || string(out) != s+"|" {
			t.Errorf("%q is shown as %s, which bash reads as %q: %v", s, Argument(s), out, err)
		}
	}
	for s, want := range map[string]string{"wxid_42@chatroom": "wxid_42@chatroom", "it's": `'it'\''s'`, "\x1b": `$'\x1b'`} {
		if got := Argument(s); got != want {
			t.Errorf("%q is shown as %s, want %s", s, got, want)
		}
	}
}
