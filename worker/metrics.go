package worker

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/relogin/relogin/worker/job"
)

// Metrics counts what a [Worker] does.
type Metrics struct {
	jobs        *prometheus.CounterVec
	dead        prometheus.Counter
	open        prometheus.Gauge
	parked      prometheus.Gauge
	lockWait    prometheus.Histogram
	overhead    prometheus.Histogram
	breakerOpen *prometheus.GaugeVec
	refused     prometheus.Gauge
	leaseLost   prometheus.Counter

	redelivered   prometheus.Counter
	confirmation  *prometheus.HistogramVec
	tenantRefused *prometheus.GaugeVec
}

// NewMetrics returns metrics that are registered with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		jobs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "relogin_jobs_total", Help: "Jobs whose event is stored, by outcome."}, []string{"outcome"}),
		dead: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "relogin_dead_letters_total", Help: "Jobs moved to the dead stream."}),
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "relogin_open_confirmations", Help: "Calls to the gateway that are open now."}),
		parked: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "relogin_parked_jobs", Help: "Jobs that wait in this pod, for an account, a credential or a gateway."}),
		lockWait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "relogin_lock_wait_seconds", Help: "How long jobs waited for their account.",
			Buckets: []float64{.01, .1, .5, 1, 5, 15, 30, 60, 120, 300, 600}}),
		overhead: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "relogin_overhead_seconds", Help: "From taking a job to its event being stored, less the time in the gateway and in waits.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30}}),
		breakerOpen: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "relogin_breaker_open", Help: "1 while the gateway's breaker is open."}, []string{"gateway"}),
		refused: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "relogin_refused_tenants", Help: "Tenants that are paused because the gateway refuses their credential."}),
		leaseLost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "relogin_lease_lost_total", Help: "Results that came after their lease had ended."}),
		redelivered: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "relogin_redeliveries_total", Help: "Deliveries that were not a job's first: it was handed back, or its pod died."}),
		confirmation: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "relogin_confirmation_seconds", Help: "How long the gateway held a call open, by what came of it.",
			Buckets: []float64{.1, .5, 1, 2, 5, 10, 20, 30, 60, 90, 120, 180, 240, 300, 600}}, []string{"outcome"}),
		tenantRefused: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "relogin_tenant_refused", Help: "1 for a tenant that is paused because the gateway refuses its credential."}, []string{"tenant"}),
	}
	for _, o := range job.Outcomes() {
		m.jobs.WithLabelValues(string(o))
	}
	r.MustRegister(m.jobs, m.dead, m.open, m.parked, m.lockWait, m.overhead, m.breakerOpen, m.refused, m.leaseLost,
		m.redelivered, m.confirmation, m.tenantRefused)
	return m
}
