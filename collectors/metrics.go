package collectors

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	events   *prometheus.CounterVec
	failures *prometheus.CounterVec
	waiting  *prometheus.GaugeVec
	lag      *prometheus.GaugeVec
	running  *prometheus.GaugeVec
}

func newMetrics() *metrics {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"collector"})
	}
	return &metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "herald_collectors_events_total", Help: "What collectors took, by what became of it: accepted, duplicate or refused.",
		}, []string{"collector", "status"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "herald_collectors_failures_total", Help: "Runs that failed.",
		}, []string{"collector"}),
		waiting: gauge("herald_collectors_waiting", "Files or messages that wait outside, as last seen."),
		lag:     gauge("herald_collectors_lag_seconds", "The time between the newest event of the last page and its being taken."),
		running: gauge("herald_collectors_running", "1 where this node runs the collector."),
	}
}

// took counts a page.
func (m *metrics) took(collector string, by step) {
	m.events.WithLabelValues(collector, "accepted").Add(float64(by.accepted))
	m.events.WithLabelValues(collector, "duplicate").Add(float64(by.duplicates))
	m.events.WithLabelValues(collector, "refused").Add(float64(by.refused))
	if by.waiting != nil {
		m.waiting.WithLabelValues(collector).Set(float64(*by.waiting))
	}
	if by.lag != nil {
		m.lag.WithLabelValues(collector).Set(*by.lag)
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.events, m.failures, m.waiting, m.lag, m.running}
}

// Describe implements prometheus.Collector.
func (r *Runner) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range r.metrics.all() {
		m.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (r *Runner) Collect(ch chan<- prometheus.Metric) {
	for _, m := range r.metrics.all() {
		m.Collect(ch)
	}
}
