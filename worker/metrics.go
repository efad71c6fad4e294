package worker

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/relogin/relogin/worker/job"
)

// Metrics counts what a [Worker] does.
type Metrics struct {
	jobs                         *prometheus.CounterVec
	dead, leaseLost, redelivered prometheus.Counter
	open, parked, refused        prometheus.Gauge
	lockWait, overhead           prometheus.Histogram
	confirmation                 *prometheus.HistogramVec
	breakerOpen, tenantRefused   *prometheus.GaugeVec
}

// NewMetrics returns metrics that are registered with r; nil: with nobody.
func NewMetrics(r prometheus.Registerer) *Metrics {
	metric := promauto.With(r)
	m := &Metrics{
		jobs: metric.NewCounterVec(prometheus.CounterOpts{
			Name: "relogin_jobs_total", Help: "Jobs whose event is stored, by outcome."}, []string{"outcome"}),
		dead: metric.NewCounter(prometheus.CounterOpts{
			Name: "relogin_dead_letters_total", Help: "Jobs moved to the dead stream."}),
		open: metric.NewGauge(prometheus.GaugeOpts{
			Name: "relogin_open_confirmations", Help: "Calls to the gateway that are open now."}),
		parked: metric.NewGauge(prometheus.GaugeOpts{
			Name: "relogin_parked_jobs", Help: "Jobs that wait in this pod, for an account, a credential or a gateway."}),
		lockWait: metric.NewHistogram(prometheus.HistogramOpts{
			Name: "relogin_lock_wait_seconds", Help: "How long jobs waited for their account.",
			Buckets: []float64{.01, .1, .5, 1, 5, 15, 30, 60, 120, 300, 600}}),
		overhead: metric.NewHistogram(prometheus.HistogramOpts{
			Name: "relogin_overhead_seconds", Help: "From taking a job to its event being stored, less the time in the gateway and in waits.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30}}),
		breakerOpen: metric.NewGaugeVec(prometheus.GaugeOpts{
			Name: "relogin_breaker_open", Help: "1 while the gateway's breaker is open."}, []string{"gateway"}),
		refused: metric.NewGauge(prometheus.GaugeOpts{
			Name: "relogin_refused_tenants", Help: "Tenants that are paused because the gateway refuses their credential."}),
		leaseLost: metric.NewCounter(prometheus.CounterOpts{
			Name: "relogin_lease_lost_total", Help: "Results that came after their lease had ended."}),
		redelivered: metric.NewCounter(prometheus.CounterOpts{
			Name: "relogin_redeliveries_total", Help: "Deliveries that were not a job's first: it was handed back, or its pod died."}),
		confirmation: metric.NewHistogramVec(prometheus.HistogramOpts{
			Name: "relogin_confirmation_seconds", Help: "How long the gateway held a call open, by what came of it.",
			Buckets: []float64{.1, .5, 1, 2, 5, 10, 20, 30, 60, 90, 120, 180, 240, 300, 600}}, []string{"outcome"}),
		tenantRefused: metric.NewGaugeVec(prometheus.GaugeOpts{
			Name: "relogin_tenant_refused", Help: "1 for a tenant that is paused because the gateway refuses its credential."}, []string{"tenant"}),
	}
	for _, o := range job.Outcomes() {
		m.jobs.WithLabelValues(string(o))
	}
	return m
}
