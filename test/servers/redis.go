package servers

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

const (
	startTimeout  = 30 * time.Second
	dockerTimeout = 2 * time.Second
	imageTimeout  = 90 * time.Second // with pulling the image
)

// Redis returns the URL of a Redis server for the test: a real one that the tests of
// this binary share, or an embedded one of its own. Keep to a [Namespace].
func Redis(tb testing.TB) string {
	tb.Helper()
	if url, err := sharedRedis(); err == nil {
		return url
	}
	return EmbeddedRedis(tb)
}

// RealRedis is [Redis], and skips the test where only the embedded server is there.
func RealRedis(tb testing.TB) string {
	tb.Helper()
	url, err := sharedRedis()
	if err != nil {
		Skip(tb, "needs a real Redis: %v", err)
	}
	return url
}

// EmbeddedRedis returns the URL of a miniredis whose keys expire with the clock. It
// ends with the test.
func EmbeddedRedis(tb testing.TB) string {
	tb.Helper()
	server := miniredis.RunT(tb)
	server.ClockTTL(true) // to the moment; a ticker that calls FastForward would age a new key by a whole tick
	return "redis://" + server.Addr()
}

// Namespace returns a namespace that no other test uses, also not in another run.
func Namespace(tb testing.TB) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, tb.Name())
	return fmt.Sprintf("test-%s-%x", name, time.Now().UnixNano())
}

// Exit ends what the tests of this binary shared, and then the process. Call it at the
// end of TestMain.
func Exit(code int) {
	shared.Lock()
	for _, stop := range shared.stops {
		stop()
	}
	os.Exit(code)
}

var shared struct {
	sync.Mutex
	stops []func()
}

var sharedRedis = sync.OnceValues(func() (string, error) {
	if url := os.Getenv("RELOGIN_TEST_REDIS_URL"); url != "" {
		return url, nil
	}
	addr, stop, err := runRedisContainer(0, nil)
	if err != nil {
		var local error
		if addr, stop, local = runRedis(); local != nil {
			return "", errors.Join(err, local)
		}
	}
	shared.Lock()
	defer shared.Unlock()
	shared.stops = append(shared.stops, stop)
	return "redis://" + addr, nil
})
