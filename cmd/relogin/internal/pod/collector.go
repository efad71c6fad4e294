package pod

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// podCollector reads what the pod's parts count.
type podCollector struct{ *Pod }

// Describe implements [prometheus.Collector]. It names no metric, so that the backlog may be
// left out.
func (podCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector]. It asks NATS for the backlog, for a second
// at most; without an answer that metric is left out.
func (c podCollector) Collect(out chan<- prometheus.Metric) {
	send := func(kind prometheus.ValueType, value float64, name, help string) {
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, nil, nil), kind, value)
	}
	stats := c.cache.Stats()
	send(prometheus.GaugeValue, stats.SuspendedFor.Seconds(), "relogin_quarantine_seconds", "How long no confirmation starts, because Redis may have lost locks; 0: none.")
	send(prometheus.CounterValue, float64(stats.Commands), "relogin_redis_scripts_total", "Scripts sent to Redis.")
	send(prometheus.CounterValue, float64(stats.Pipelines), "relogin_redis_pipelines_total", "Round trips that carried the scripts.")
	send(prometheus.CounterValue, float64(stats.Failed), "relogin_redis_scripts_failed_total", "Scripts that ended with an error.")
	send(prometheus.CounterValue, float64(stats.Dropped), "relogin_redis_tidyings_dropped_total", "Records that were not shrunk because the buffer was full; they expire later.")
	connected := 0.0
	if c.NATS.IsConnected() {
		connected = 1
	}
	send(prometheus.GaugeValue, connected, "relogin_nats_connected", "1 while the connection to NATS stands.")

	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	backlog, _ := c.queue.Backlog(ctx)
	for lane, n := range backlog {
		out <- prometheus.MustNewConstMetric(backlogDesc, prometheus.GaugeValue, float64(n), string(lane))
	}
}

var backlogDesc = prometheus.NewDesc("relogin_backlog_jobs",
	"Jobs that the lane holds: waiting, delayed, and in the hands of all workers.", []string{"lane"}, nil)
