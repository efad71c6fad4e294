package cache

import (
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
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

//go:embed begin.lua
var beginSource string

//go:embed finish.lua
var finishSource string

//go:embed release.lua
var releaseSource string

//go:embed shrink.lua
var shrinkSource string

//go:embed excuse.lua
var excuseSource string

//go:embed reserve.lua
var reserveSource string

var (
	beginScript   = newScript(tokenSource + beginSource)
	finishScript  = newScript(finishSource)
	releaseScript = newScript(tokenSource + releaseSource)
	shrinkScript  = newScript(shrinkSource)
	excuseScript  = newScript(excuseSource)
	reserveScript = newScript(reserveSource)
)
