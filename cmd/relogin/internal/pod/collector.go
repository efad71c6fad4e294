package pod

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	backlogDesc = prometheus.NewDesc("relogin_backlog_jobs",
		"Jobs that the lane holds: waiting, delayed, and in the hands of all workers.", []string{"lane"}, nil)
	suspendedDesc = prometheus.NewDesc("relogin_quarantine_seconds",
		"How long no confirmation starts, because Redis may have lost locks; 0: none.", nil, nil)
	commandsDesc = prometheus.NewDesc("relogin_redis_scripts_total",
		"Scripts sent to Redis.", nil, nil)
	pipelinesDesc = prometheus.NewDesc("relogin_redis_pipelines_total",
		"Round trips that carried the scripts.", nil, nil)
	failedDesc = prometheus.NewDesc("relogin_redis_scripts_failed_total",
		"Scripts that ended with an error.", nil, nil)
	droppedDesc = prometheus.NewDesc("relogin_redis_tidyings_dropped_total",
		"Records that were not shrunk because the buffer was full; they expire later.", nil, nil)
	connectedDesc = prometheus.NewDesc("relogin_nats_connected",
		"1 while the connection to NATS stands.", nil, nil)
)

// podCollector reads what the pod's parts count.
type podCollector struct{ *Pod }

// Describe implements [prometheus.Collector].
func (c podCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{backlogDesc, suspendedDesc, commandsDesc, pipelinesDesc, failedDesc, droppedDesc, connectedDesc} {
		out <- d
	}
}

// Collect implements [prometheus.Collector]. It asks NATS for the backlog, for a second
// at most; without an answer that metric is left out.
func (c podCollector) Collect(out chan<- prometheus.Metric) {
	stats := c.cache.Stats()
	number := func(d *prometheus.Desc, t prometheus.ValueType, v float64) {
		out <- prometheus.MustNewConstMetric(d, t, v)
	}
	number(suspendedDesc, prometheus.GaugeValue, stats.SuspendedFor.Seconds())
	number(commandsDesc, prometheus.CounterValue, float64(stats.Commands))
	number(pipelinesDesc, prometheus.CounterValue, float64(stats.Pipelines))
	number(failedDesc, prometheus.CounterValue, float64(stats.Failed))
	number(droppedDesc, prometheus.CounterValue, float64(stats.Dropped))
	connected := 0.0
	if c.NATS.IsConnected() {
		connected = 1
	}
	number(connectedDesc, prometheus.GaugeValue, connected)

	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	backlog, err := c.queue.Backlog(ctx)
	if err != nil {
		return
	}
	for lane, n := range backlog {
		out <- prometheus.MustNewConstMetric(backlogDesc, prometheus.GaugeValue, float64(n), string(lane))
	}
}
