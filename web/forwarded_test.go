package web

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestForwardedBelievesTrustedProxiesAlone(t *testing.T) {
	tests := map[string]struct {
		remote string
		fields []string
		want   string
	}{
		"a proxy's word":                   {"10.0.0.1:999", []string{"203.0.113.7"}, "203.0.113.7:0"},
		"a chain of proxies":               {"10.0.0.1:999", []string{"203.0.113.7, 10.0.0.2"}, "203.0.113.7:0"},
		"what a client wrote before":       {"10.0.0.1:999", []string{"127.0.0.1, 203.0.113.7"}, "203.0.113.7:0"},
		"fields one after the other":       {"10.0.0.1:999", []string{"1.2.3.4", "203.0.113.7"}, "203.0.113.7:0"},
		"IPv6":                             {"10.0.0.1:999", []string{"2001:db8::7"}, "[2001:db8::7]:0"},
		"a stranger's word":                {"203.0.113.9:999", []string{"198.51.100.1"}, "203.0.113.9:999"},
		"a proxy that says nothing":        {"10.0.0.1:999", nil, "10.0.0.1:999"},
		"a proxy that says nonsense":       {"10.0.0.1:999", []string{"unknown"}, "10.0.0.1:999"},
		"a proxy that names proxies alone": {"10.0.0.1:999", []string{"10.0.0.2"}, "10.0.0.1:999"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := ""
			h := forwarded([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr }))
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = tt.remote
			r.Header["X-Forwarded-For"] = tt.fields
			h.ServeHTTP(httptest.NewRecorder(), r)
			if got != tt.want {
				t.Errorf("remote address = %s, want %s", got, tt.want)
			}
		})
	}
}

func TestNewNeedsItsParts(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("made of nothing")
	}
}
