package webhooks

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"pgregory.net/rapid"

	"herald/problem"
)

func TestOnlyPublicAddressesAreLetThrough(t *testing.T) {
	for address, want := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "203.0.114.1": true, "100.63.255.255": true, "172.32.0.1": true,
		"2606:4700::1111": true, "2400:3200::1": true, "64:ff9b::808:808": true, "::ffff:8.8.8.8": true,

		"127.0.0.1": false, "127.255.255.254": false, "::1": false, // loopback
		"10.0.0.1": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false, // private
		"169.254.169.254": false, "fe80::1": false, "fe80::1%eth0": false, // link-local, and clouds' metadata
		"fc00::1": false, "fd12:3456::1": false, // unique local
		"100.64.0.1": false, "100.127.255.255": false, // carrier-grade NAT
		"224.0.0.1": false, "239.255.255.255": false, "ff02::1": false, "ff0e::1": false, // multicast
		"0.0.0.0": false, "0.1.2.3": false, "::": false, // unspecified
		"240.0.0.1": false, "255.255.255.255": false, // reserved, broadcast
		"192.0.2.1": false, "198.51.100.1": false, "203.0.113.1": false, "2001:db8::1": false, "3fff::1": false, // documentation
		"198.18.0.1": false, "192.0.0.1": false, // benchmarks, protocols
		"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:169.254.169.254": false, // mapped
		"64:ff9b::7f00:1": false, "64:ff9b::a00:1": false, "64:ff9b::a9fe:a9fe": false, "64:ff9b:1::808:808": false, // NAT64
		"2002:7f00:1::": false, "2001::1": false, "::7f00:1": false, "fec0::1": false, // 6to4, Teredo, compatible, site-local
	} {
		if got := public(netip.MustParseAddr(address)); got != want {
			t.Errorf("public(%s) = %v, want %v", address, got, want)
		}
	}
	if public(netip.Addr{}) {
		t.Error("no address at all is let through")
	}
}

func TestNoIPv4AddressIsJudgedByItsDisguise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		four := [4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "address"))
		plain := netip.AddrFrom4(four)
		mapped := netip.AddrFrom16(plain.As16())
		translated := nat64.Addr().As16()
		copy(translated[12:], four[:])
		want := public(plain)
		if public(mapped) != want || public(netip.AddrFrom16(translated)) != want {
			t.Fatalf("%v: %v, mapped %v, translated %v", plain, want, public(mapped), public(netip.AddrFrom16(translated)))
		}
	})
}

func TestTheGuardKnowsNetworksAndPorts(t *testing.T) {
	office := guard{prefixes("10.2.0.0/16", "fd00::/8")}
	for name, tt := range map[string]struct {
		guard
		address         string
		encrypted, lets bool
	}{
		"public, encrypted":             {guard{}, "8.8.8.8:443", true, true},
		"public, a high port":           {guard{}, "8.8.8.8:8443", true, true},
		"public, a system's port":       {guard{}, "8.8.8.8:25", true, false},
		"public, plain":                 {guard{}, "8.8.8.8:80", false, false},
		"public, plain, with networks":  {office, "8.8.8.8:80", false, false},
		"private":                       {guard{}, "10.2.0.1:443", true, false},
		"the company's":                 {office, "10.2.0.1:443", true, true},
		"the company's, plain":          {office, "10.2.0.1:80", false, true},
		"the company's, mapped":         {office, "[::ffff:10.2.0.1]:80", false, true},
		"the company's, IPv6":           {office, "[fd00::7]:80", false, true},
		"another network, beside":       {office, "10.3.0.1:443", true, false},
		"loopback, with other networks": {office, "127.0.0.1:443", true, false},
		"no address":                    {office, "localhost:443", true, false},
	} {
		err := tt.control(tt.encrypted)(t.Context(), "tcp", tt.address, nil)
		if (err == nil) != tt.lets {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnAddressIsCheckedWhenItIsEntered(t *testing.T) {
	office := guard{prefixes("10.2.0.0/16")}
	for address, rule := range map[string]string{
		"https://shop.example/hook": "", "https://shop.example:8443/hook?x=1": "", "https://8.8.8.8/": "", "https://[2606:4700::1]/": "",
		"": "required", "https://": "url", "shop.example": "url", "ftp://shop.example": "url", "https:shop": "url", "https://x:0/": "url",
		"https://x:99999/": "url", "https://a b/": "url", "https://x/\x00": "url", "https://" + strings.Repeat("x", maxURL): "max_len",
		"http://shop.example": "https", "http://127.0.0.1/": "https", "https://user:pass@shop.example": "url_plain", "https://shop.example/#x": "url_plain",
		"https://127.0.0.1/": "internal", "https://[::1]/": "internal", "https://10.2.0.1/": "internal", "https://[::ffff:10.0.0.1]/": "internal",
		"https://shop.example:25/": "port", "https://shop.example:80/": "port",
	} {
		var f problem.Fields
		guard{}.checkURL(address, &f)
		got := ""
		if len(f) > 0 {
			got = f[0].Rule
		}
		if got != rule {
			t.Errorf("%.60q breaks %q, want %q", address, got, rule)
		}
	}
	for _, address := range []string{"http://10.2.0.1:8080/", "http://crm.internal/", "https://crm.internal:81/", "https://shop.example/"} {
		var f problem.Fields
		if office.checkURL(address, &f); len(f) > 0 {
			t.Errorf("%s: %v", address, f)
		}
	}
}

func FuzzCheckURL(f *testing.F) {
	for _, seed := range []string{"https://shop.example/", "http://10.2.0.1", "https://[::1]:443", "https://u@h", "%zz", "https://x:y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var faults problem.Fields
		if (guard{}).checkURL(text, &faults); len(faults) > 0 {
			return
		}
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
			t.Errorf("%q was let through", text)
		}
		if a, err := netip.ParseAddr(u.Hostname()); err == nil && !public(a) {
			t.Errorf("%q was let through", text)
		}
	})
}

// nameServer answers every question for an address with what answers says, the
// next at each question.
func nameServer(t *testing.T, answers ...[4]byte) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 1500)
		for asked := 0; ; {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var q dnsmessage.Message
			if q.Unpack(buf[:n]) != nil {
				continue
			}
			q.Response, q.Additionals = true, nil
			if q.Questions[0].Type == dnsmessage.TypeA {
				q.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Questions[0].Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
					Body:   &dnsmessage.AResource{A: answers[min(asked, len(answers)-1)]},
				}}
				asked++
			}
			if packed, err := q.Pack(); err == nil {
				_, _ = conn.WriteTo(packed, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// guarded is a poster as it is with no networks allowed, by this name server.
func guarded(t *testing.T, resolver *net.Resolver, networks ...string) *poster {
	t.Helper()
	p := newPoster(guard{prefixes(networks...)}, WorkerConfig{Timeout: 5 * time.Second}, resolver, time.Now)
	t.Cleanup(p.close)
	return p
}

func TestANameThatLeadsInsideIsRefused(t *testing.T) {
	t.Parallel()
	reached := make(chan string, 10)
	inside := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reached <- r.Host }))
	t.Cleanup(inside.Close)
	_, port, err := net.SplitHostPort(inside.Listener.Addr().String())
	must(t, err)
	for _, address := range [][4]byte{{127, 0, 0, 1}, {10, 0, 0, 1}, {169, 254, 169, 254}, {0, 0, 0, 0}} {
		p := guarded(t, nameServer(t, address))
		if o := p.post(t.Context(), letter{url: "https://shop.example:" + port + "/"}); o.class != Forbidden {
			t.Errorf("%v: %+v", address, o)
		}
		if o := p.post(t.Context(), letter{url: "http://shop.example:" + port + "/"}); o.class != Forbidden {
			t.Errorf("%v, plain: %+v", address, o)
		}
	}
	if len(reached) > 0 {
		t.Errorf("%s was reached", <-reached)
	}
}

func TestANameThatLeadsElsewhereLaterIsRefusedThen(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	_, port, err := net.SplitHostPort(r.Listener.Addr().String())
	must(t, err)
	p := guarded(t, nameServer(t, [4]byte{127, 0, 0, 2}, [4]byte{127, 0, 0, 1}), "127.0.0.2/32")
	address := "http://shop.example:" + port + "/"
	if o := p.post(t.Context(), letter{url: address}); o.class != NoConnect && o.class != "" {
		t.Errorf("at first: %+v", o)
	}
	p.close()
	if o := p.post(t.Context(), letter{url: address}); o.class != Forbidden {
		t.Errorf("later: %+v", o)
	}
}

func TestAProxyInTheEnvironmentIsIgnored(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") }))
	t.Cleanup(proxy.Close)
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	p := guarded(t, nameServer(t, [4]byte{10, 0, 0, 1}))
	if o := p.post(t.Context(), letter{url: "https://shop.example/"}); o.class != Forbidden {
		t.Errorf("%+v", o)
	}
}

func TestACertificateThatNobodyVouchesForIsRefused(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	p := guarded(t, nil, "127.0.0.0/8")
	if o := p.post(t.Context(), letter{url: server.URL}); o.class != NoTLS {
		t.Errorf("%+v", o)
	}
}

func TestANameThatIsNoneIsSaidSo(t *testing.T) {
	t.Parallel()
	nowhere := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }}
	if o := guarded(t, nowhere).post(t.Context(), letter{url: "https://shop.example/"}); o.class != NoName {
		t.Errorf("%+v", o)
	}
}
