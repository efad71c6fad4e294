package cache

import (
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"fmt"
	"time"
)

//go:embed *.lua
var sources embed.FS

// script is a Lua script and the hash by which Redis knows it.
type script struct {
	source, hash string
}

// newScript puts a script together from the settings and the files with these names.
func newScript(settings string, files ...string) *script {
	source := settings
	for _, name := range files {
		text, err := sources.ReadFile(name + ".lua")
		if err != nil {
			panic(err)
		}
		source += string(text)
	}
	sum := sha1.Sum([]byte(source))
	return &script{source: source, hash: hex.EncodeToString(sum[:])}
}

// scripts are those of one configuration: what never changes is not sent with each call.
type scripts struct {
	begin, finish, take, void, release, shrink, snooze, reserve *script
}

func newScripts(o *Options, lease time.Duration) scripts {
	settings := fmt.Sprintf("-- Times are in ms, and text where Redis alone reads them.\n"+
		"local lease, waitFor, keep, memory = '%d', '%d', '%d', '%d'\n"+
		"local minConfirm, dailyPrompts, rate = %d, %d, %v\n",
		millis(lease), millis(lease+time.Minute), millis(o.EventMaxAge), millis(o.JobMemory),
		millis(o.MinConfirmTime), o.DailyPrompts, o.GatewayRate)
	return scripts{
		begin:   newScript(settings, "grant", "lock", "begin"),
		finish:  newScript(settings, "finish"),
		take:    newScript(settings, "take"),
		void:    newScript(settings, "void"),
		release: newScript(settings, "lock", "release"),
		shrink:  newScript(settings, "shrink"),
		snooze:  newScript(settings, "snooze"),
		reserve: newScript(settings, "reserve"),
	}
}
