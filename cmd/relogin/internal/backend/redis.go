package backend

import "github.com/relogin/relogin/cmd/relogin/internal/settings"

// Redis says how to reach Redis.
type Redis struct {
	URL            string
	SentinelMaster string
}

// Declare implements [settings.Group].
func (r *Redis) Declare(s *settings.Settings) {
	s.Section("Redis")
	s.Add("redis-url", settings.ServerURLs(&r.URL, "redis", "rediss"), "redis://127.0.0.1:6379/0",
		"the server: redis://[user:password@]host:port/db, or rediss:// for TLS; several, comma-separated, are nodes of a Cluster").AlsoFrom("REDIS_URL")
	s.Add("redis-sentinel-master", settings.Text(&r.SentinelMaster), "",
		"name of the master; the servers of --redis-url are the sentinels then")
}
