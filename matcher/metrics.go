package matcher

import "github.com/prometheus/client_golang/prometheus"

// The metrics of an Intake, read from its Stats when somebody asks.
var (
	eventsDesc = prometheus.NewDesc("herald_matcher_events_total",
		"Events, by what became of them: accepted, duplicate, refused, or throttled because the queue was full.", []string{"status"}, nil)
	matchesDesc = prometheus.NewDesc("herald_matcher_matches_total",
		"Subscriptions that events have met.", nil, nil)
	notificationsDesc = prometheus.NewDesc("herald_matcher_notifications_total",
		"Matches that no limit held back.", nil, nil)
	transactionsDesc = prometheus.NewDesc("herald_matcher_transactions_total",
		"Transactions that committed events.", nil, nil)
	retriesDesc = prometheus.NewDesc("herald_matcher_retries_total",
		"Transactions tried again because others were in their way.", nil, nil)
	unevaluatedDesc = prometheus.NewDesc("herald_matcher_unevaluated_total",
		"Conditions that failed while they were evaluated, and so were not met.", nil, nil)
	indexedDesc = prometheus.NewDesc("herald_matcher_indexed_total",
		"Transactions that found who waits for their events in this node's index.", nil, nil)
	auditedDesc = prometheus.NewDesc("herald_matcher_audited_total",
		"Those of them whose findings were held against the tables.", nil, nil)
	missedDesc = prometheus.NewDesc("herald_matcher_missed_total",
		"Subscriptions that the index missed then; more than none is an alarm.", nil, nil)
	expandedDesc = prometheus.NewDesc("herald_matcher_expanded_total",
		"Transactions that decided of a part of very many who wait for one event.", nil, nil)
	waitingDesc = prometheus.NewDesc("herald_matcher_waiting_events",
		"Events that wait for the database.", nil, nil)
)

// Describe implements prometheus.Collector.
func (i *Intake) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		eventsDesc, matchesDesc, notificationsDesc, transactionsDesc, retriesDesc, unevaluatedDesc,
		indexedDesc, auditedDesc, missedDesc, expandedDesc, waitingDesc,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (i *Intake) Collect(ch chan<- prometheus.Metric) {
	s := i.Stats()
	total := func(d *prometheus.Desc, n int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	total(eventsDesc, s.Accepted, "accepted")
	total(eventsDesc, s.Duplicates, "duplicate")
	total(eventsDesc, s.Refused, "refused")
	total(eventsDesc, s.Throttled, "throttled")
	total(matchesDesc, s.Matches)
	total(notificationsDesc, s.Notifications)
	total(transactionsDesc, s.Transactions)
	total(retriesDesc, s.Retries)
	total(unevaluatedDesc, s.Senseless)
	total(indexedDesc, s.Indexed)
	total(auditedDesc, s.Audited)
	total(missedDesc, s.Missed)
	total(expandedDesc, s.Expanded)
	ch <- prometheus.MustNewConstMetric(waitingDesc, prometheus.GaugeValue, float64(s.Waiting))
}
