package follower

import "github.com/prometheus/client_golang/prometheus"

// The metrics of a Follower, read from its Stats when somebody asks.
var (
	loadedDesc = prometheus.NewDesc("herald_index_loaded",
		"1 while this node finds who waits for an event in its index, 0 while it asks the tables.", nil, nil)
	loadDesc = prometheus.NewDesc("herald_index_load_seconds",
		"How long the last load of the index took.", nil, nil)
	loadsDesc = prometheus.NewDesc("herald_index_loads_total",
		"How often the index was loaded.", nil, nil)
	changesDesc = prometheus.NewDesc("herald_index_changes_total",
		"Changes of subscriptions that the index has taken in.", nil, nil)
	failuresDesc = prometheus.NewDesc("herald_index_failures_total",
		"Loads of the index, and looks for changes, that failed and were tried again.", nil, nil)
	fencesDesc = prometheus.NewDesc("herald_index_fences_total",
		"Transactions that asked what the index may lack, by whether the index could answer or the tables had to.", []string{"answered_by"}, nil)
	auditedDesc = prometheus.NewDesc("herald_index_audited_total",
		"Subscriptions that were held against the tables.", nil, nil)
	differencesDesc = prometheus.NewDesc("herald_index_differences_total",
		"Those of them that were not what the tables say; more than none is an alarm.", nil, nil)
	distrustsDesc = prometheus.NewDesc("herald_index_distrusts_total",
		"How often the index was given up and loaded anew, because it had been found wrong; more than none is an alarm.", nil, nil)
)

// Describe implements prometheus.Collector.
func (f *Follower) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		loadedDesc, loadDesc, loadsDesc, changesDesc, failuresDesc, fencesDesc, auditedDesc, differencesDesc, distrustsDesc,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (f *Follower) Collect(ch chan<- prometheus.Metric) {
	s := f.Stats()
	put := func(d *prometheus.Desc, kind prometheus.ValueType, n float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, n, labels...)
	}
	loaded := 0.0
	if s.Loaded {
		loaded = 1
	}
	put(loadedDesc, prometheus.GaugeValue, loaded)
	put(loadDesc, prometheus.GaugeValue, s.LoadTime.Seconds())
	put(loadsDesc, prometheus.CounterValue, float64(s.Loads))
	put(changesDesc, prometheus.CounterValue, float64(s.Changes))
	put(failuresDesc, prometheus.CounterValue, float64(s.Failures))
	put(fencesDesc, prometheus.CounterValue, float64(s.Fences-s.Joins), "index")
	put(fencesDesc, prometheus.CounterValue, float64(s.Joins), "tables")
	put(auditedDesc, prometheus.CounterValue, float64(s.Audited))
	put(differencesDesc, prometheus.CounterValue, float64(s.Differences))
	put(distrustsDesc, prometheus.CounterValue, float64(s.Distrusts))
}
