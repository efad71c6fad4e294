package cache

import (
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"fmt"
	"time"
)

// script is a Lua script and the hash by which Redis knows it.
type script struct {
	source, hash string
}

func newScript(source string) *script {
	sum := sha1.Sum([]byte(source))
	return &script{source: source, hash: hex.EncodeToString(sum[:])}
}

//go:embed token.lua
var tokenSource string

//go:embed lock.lua
var lockSource string

//go:embed grant.lua
var grantSource string

//go:embed begin.lua
var beginSource string

//go:embed finish.lua
var finishSource string

//go:embed take.lua
var takeSource string

//go:embed void.lua
var voidSource string

//go:embed release.lua
var releaseSource string

//go:embed shrink.lua
var shrinkSource string

//go:embed snooze.lua
var snoozeSource string

//go:embed reserve.lua
var reserveSource string

// scripts are those of one configuration: what never changes is not sent with each call.
type scripts struct {
	begin, finish, take, void, release, shrink, snooze, reserve *script
}

func newScripts(o *Options, lease time.Duration) scripts {
	settings := fmt.Sprintf("-- Times are in ms, and text where Redis alone reads them.\n"+
		"local lease, waitFor, keep, memory = '%d', '%d', '%d', '%d'\n"+
		"local minConfirm, dailyPrompts = %d, %d\n",
		millis(lease), millis(lease+waitsOn), millis(o.EventMaxAge), millis(o.JobMemory),
		millis(o.MinConfirmTime), o.DailyPrompts)
	return scripts{
		begin:   newScript(settings + grantSource + tokenSource + lockSource + beginSource),
		finish:  newScript(settings + finishSource),
		take:    newScript(settings + takeSource),
		void:    newScript(settings + voidSource),
		release: newScript(tokenSource + lockSource + releaseSource),
		shrink:  newScript(settings + shrinkSource),
		snooze:  newScript(settings + snoozeSource),
		reserve: newScript(reserveSource),
	}
}

// waitsOn is how much longer than a lease Redis remembers who waits for it.
const waitsOn = time.Minute
