package servers

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// A key lives as long as it was told to, and then goes by itself.
func TestEmbeddedRedisKeepsTime(t *testing.T) {
	const life = 20 * time.Millisecond
	options, err := redis.ParseURL(EmbeddedRedis(t))
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	for range 50 {
		before := time.Now()
		if err := client.Set(t.Context(), "key", "", life).Err(); err != nil {
			t.Fatal(err)
		}
		for client.Exists(t.Context(), "key").Val() == 1 {
			if time.Since(before) > startTimeout {
				t.Fatalf("a key of %v is there after %v", life, startTimeout)
			}
		}
		if lived := time.Since(before); lived < life {
			t.Fatalf("a key of %v was gone after %v", life, lived)
		}
	}
}
