package sim

import (
	"net"
	"sync"
)

// door lets connections in and knows who is inside. While a fault says so it
// closes them before a word.
type door struct {
	net.Listener
	faults *faults

	mu     sync.Mutex
	inside map[*visitor]struct{} // guarded by mu
}

// visitor is a connection that leaves the door's list when it is closed.
type visitor struct {
	net.Conn
	door *door
}

func newDoor(l net.Listener, f *faults) *door {
	return &door{Listener: l, faults: f, inside: map[*visitor]struct{}{}}
}

func (d *door) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if _, found := d.faults.take("", Close); found {
			_ = conn.Close() // the far end sees a broken connection, as it should
			continue
		}
		v := &visitor{conn, d}
		d.mu.Lock()
		d.inside[v] = struct{}{}
		d.mu.Unlock()
		return v, nil
	}
}

func (v *visitor) Close() error {
	v.door.mu.Lock()
	delete(v.door.inside, v)
	v.door.mu.Unlock()
	return v.Conn.Close()
}

// dropAll breaks every connection; their goroutines notice and end.
func (d *door) dropAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for v := range d.inside {
		_ = v.Conn.Close() // one that is closed already is as good
	}
}
