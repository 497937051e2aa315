package web

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// traffic counts requests by face and status, and times them. Paths are not
// told apart: they hold ids.
type traffic struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newTraffic() *traffic {
	return &traffic{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "herald_web_requests_total", Help: "Requests answered, by face and status.",
		}, []string{"face", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "herald_web_request_seconds", Help: "Time to answer a request, by face.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"face"}),
	}
}

func (t *traffic) Describe(ch chan<- *prometheus.Desc) {
	t.requests.Describe(ch)
	t.seconds.Describe(ch)
}

func (t *traffic) Collect(ch chan<- prometheus.Metric) {
	t.requests.Collect(ch)
	t.seconds.Collect(ch)
}

// of counts what a face answers.
func (t *traffic) of(face string, h http.Handler) http.Handler {
	seconds := t.seconds.WithLabelValues(face)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		s := &status{ResponseWriter: w, code: http.StatusOK}
		defer func() {
			t.requests.WithLabelValues(face, strconv.Itoa(s.code)).Inc()
			seconds.Observe(time.Since(began).Seconds())
		}()
		h.ServeHTTP(s, r)
	})
}

// status remembers the status that was answered.
type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController reach what is beneath.
func (s *status) Unwrap() http.ResponseWriter { return s.ResponseWriter }
