package bounces

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// door is a listener that lets in only so many at a time, in all and from one
// host, and gives each only so long.
type door struct {
	net.Listener
	max, perHost int
	longest      time.Duration

	mu       sync.Mutex
	inside   map[*visitor]struct{} // guarded by mu
	hosts    map[netip.Prefix]int  // guarded by mu
	stopping bool                  // guarded by mu
	turned   func()                // called for each who is turned away
}

func newDoor(l net.Listener, cfg Config, turned func()) *door {
	return &door{
		Listener: l, max: cfg.MaxConnections, perHost: cfg.MaxConnectionsPerHost, longest: cfg.MaxSession,
		inside: map[*visitor]struct{}{}, hosts: map[netip.Prefix]int{}, turned: turned,
	}
}

// full is said to one for whom there is no room (RFC 5321, section 3.8). A mail
// server comes again.
const full = "421 4.7.0 too many connections, come again later\r\n"

// Accept waits for the next one for whom there is room.
func (d *door) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if v := d.admit(conn); v != nil {
			return v, nil
		}
		d.turned()
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second)) // it fits the socket's buffer
		_, _ = conn.Write([]byte(full))
		_ = conn.Close()
	}
}

func (d *door) admit(conn net.Conn) *visitor {
	host := hostOf(conn.RemoteAddr())
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopping || len(d.inside) >= d.max || d.hosts[host] >= d.perHost {
		return nil
	}
	v := &visitor{Conn: conn, door: d, host: host, until: time.Now().Add(d.longest)}
	d.inside[v] = struct{}{}
	d.hosts[host]++
	return v
}

// hostOf is who connects: an IPv4 address, or the network of 64 bits that one
// IPv6 host is usually given.
func hostOf(addr net.Addr) netip.Prefix {
	address, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return netip.Prefix{}
	}
	ip, bits := address.Addr().Unmap().WithZone(""), 64
	if ip.Is4() {
		bits = 32
	}
	host, _ := ip.Prefix(bits) // the bits fit
	return host
}

func (d *door) leave(v *visitor) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, in := d.inside[v]; !in {
		return
	}
	delete(d.inside, v)
	if d.hosts[v.host]--; d.hosts[v.host] == 0 {
		delete(d.hosts, v.host)
	}
}

// stop closes the door, and ends every wait for a client's next words: the
// server then says 421 and hangs up. An answer that is due is still given.
func (d *door) stop() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopping = true
	for v := range d.inside {
		_ = v.Conn.SetReadDeadline(time.Now())
	}
	return d.Listener.Close()
}

// drop hangs up on everybody.
func (d *door) drop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for v := range d.inside {
		_ = v.Conn.Close()
	}
}

// visitor is one connection. No deadline goes beyond its time.
type visitor struct {
	net.Conn
	door  *door
	host  netip.Prefix
	until time.Time
}

// SetReadDeadline implements net.Conn.
func (v *visitor) SetReadDeadline(t time.Time) error {
	v.door.mu.Lock()
	defer v.door.mu.Unlock()
	switch {
	case v.door.stopping:
		t = time.Now()
	case t.IsZero() || t.After(v.until):
		t = v.until
	}
	return v.Conn.SetReadDeadline(t)
}

// Close implements net.Conn.
func (v *visitor) Close() error {
	v.door.leave(v)
	return v.Conn.Close()
}
