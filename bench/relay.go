package bench

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// relay passes connections on to a mail server, and tells when a text goes by
// with the DATA that follows it.
type relay struct {
	net.Listener
	to     string
	text   []byte
	passed chan time.Time
	work   sync.WaitGroup
}

func newRelay(to, text string) (*relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{Listener: l, to: to, text: []byte(text), passed: make(chan time.Time, 1_000)}
	r.work.Go(r.accept)
	return r, nil
}

func (r *relay) address() string { return r.Addr().String() }

// close ends the relay once its connections have ended.
func (r *relay) close() error {
	err := r.Close()
	r.work.Wait()
	return err
}

func (r *relay) accept() {
	for {
		from, err := r.Accept()
		if err != nil {
			return
		}
		r.work.Go(func() {
			to, err := net.Dial("tcp", r.to)
			if err != nil {
				_ = from.Close() // which says it
				return
			}
			var both sync.WaitGroup
			both.Go(func() { r.pass(to, from); halfClose(to) })
			both.Go(func() { _, _ = io.Copy(from, to); halfClose(from) })
			both.Wait()
			_ = errors.Join(from.Close(), to.Close()) // both ends have had their say
		})
	}
}

func halfClose(c net.Conn) {
	if tcp, able := c.(*net.TCPConn); able {
		_ = tcp.CloseWrite() // it may be closed already
	}
}

// pass copies what the client says, looking for the text and the DATA after it.
func (r *relay) pass(to io.Writer, from io.Reader) {
	buffer := make([]byte, 64<<10)
	var unread []byte // what was not yet searched to its end
	data := []byte("\r\nDATA\r\n")
	sought := r.text
	for {
		n, err := from.Read(buffer)
		unread = append(unread, buffer[:n]...)
		for {
			i := bytes.Index(unread, sought)
			if i < 0 { // its end may still come
				unread = append(unread[:0], unread[max(0, len(unread)-len(sought)+1):]...)
				break
			}
			unread = unread[i+len(sought):]
			if &sought[0] == &data[0] {
				r.passed <- time.Now()
				sought = r.text
			} else {
				sought = data
			}
		}
		if _, failed := to.Write(buffer[:n]); failed != nil || err != nil {
			return
		}
	}
}
