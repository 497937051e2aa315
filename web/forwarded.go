package web

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// forwarded gives requests that come through a trusted proxy the address of
// whoever asked the proxy: the last address of X-Forwarded-For that is not
// itself a trusted proxy's. What stands before it could have been written by
// anybody.
func forwarded(proxies []netip.Prefix, next http.Handler) http.Handler {
	if len(proxies) == 0 {
		return next
	}
	trusted := func(a netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && trusted(from.Addr().Unmap()) {
			if origin, ok := origin(r.Header.Values("X-Forwarded-For"), trusted); ok {
				r.RemoteAddr = net.JoinHostPort(origin.String(), "0")
			}
		}
		next.ServeHTTP(w, r)
	})
}

// origin is the last address in the fields that is not trusted.
func origin(fields []string, trusted func(netip.Addr) bool) (netip.Addr, bool) {
	hops := strings.Split(strings.Join(fields, ","), ",")
	for _, hop := range slices.Backward(hops) {
		address, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			return netip.Addr{}, false
		}
		if address = address.Unmap(); !trusted(address) {
			return address, true
		}
	}
	return netip.Addr{}, false
}
