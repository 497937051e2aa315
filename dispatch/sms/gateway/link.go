package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"herald/dispatch"
)

// The longest that is read of an answer, in bytes.
const (
	maxHead   = 32 << 10
	maxAnswer = 64 << 10
)

// link is one connection to the provider.
type link struct {
	conn   net.Conn        // encrypted, where it is
	raw    syscall.RawConn // below that; nil: it cannot be watched
	rest   *io.LimitedReader
	in     *bufio.Reader
	used   bool // an answer came on it
	broken bool // nothing more can be said on it
}

// dial connects, and encrypts where the address says so.
func (g *Gateway) dial(ctx context.Context) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", g.address)
	if err != nil {
		return nil, g.failure(dispatch.Transient, fmt.Errorf("connect: %w", err))
	}
	l := &link{conn: conn}
	if below, is := conn.(syscall.Conn); is {
		if l.raw, err = below.SyscallConn(); err != nil {
			l.raw = nil
		}
	}
	if g.base.Scheme == "https" {
		encrypted := tls.Client(conn, g.tls)
		if err := encrypted.HandshakeContext(ctx); err != nil {
			_ = conn.Close() // there was nothing on it
			return nil, g.failure(classOfTLS(err), fmt.Errorf("encrypt: %w", err))
		}
		l.conn = encrypted
	}
	l.rest = &io.LimitedReader{R: l.conn}
	l.in = bufio.NewReader(l.rest)
	return l, nil
}

// classOfTLS tells a certificate that is refused from a connection that broke.
func classOfTLS(err error) dispatch.Class {
	var refused *tls.CertificateVerificationError
	var plain tls.RecordHeaderError
	var name x509.HostnameError
	if errors.As(err, &refused) || errors.As(err, &plain) || errors.As(err, &name) {
		return dispatch.Configuration
	}
	return dispatch.Transient
}

// alive reports whether the connection is still as it was left: open, and
// nothing said on it. A provider that has closed it, or that says "408" on a
// connection at rest, would otherwise leave the next message in doubt.
func (l *link) alive() bool {
	if l.broken || l.in.Buffered() > 0 {
		return false
	}
	if l.raw == nil {
		return true
	}
	// Before the first answer session tickets may lie there (RFC 8446, section 4.6.1).
	_, encrypted := l.conn.(*tls.Conn)
	tickets := encrypted && !l.used
	quiet := false
	err := l.raw.Read(func(fd uintptr) bool {
		var one [1]byte
		n, _, err := unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		quiet = errors.Is(err, unix.EAGAIN) || err == nil && n > 0 && tickets
		return true
	})
	return err == nil && quiet
}

// cut ends what is being said or heard.
func (l *link) cut() { _ = l.conn.SetDeadline(time.Unix(1, 0)) } // a closed connection needs none

// write says a whole request. sent is whether the provider may have it.
func (l *link) write(request []byte) (sent bool, err error) {
	n, err := l.conn.Write(request)
	return n > 0, err
}

// read hears a whole answer. An answer that is too long is cut, and the
// connection is broken then.
func (l *link) read(method string) (*said, error) {
	l.rest.N = maxHead + maxAnswer
	for range 6 { // five interim answers are enough (RFC 9110, section 15.2)
		answer, err := http.ReadResponse(l.in, &http.Request{Method: method})
		if err != nil {
			return nil, fmt.Errorf("read the answer: %w", noEOF(err))
		}
		if answer.StatusCode < 200 && answer.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
		if err != nil {
			return nil, fmt.Errorf("read the answer: %w", noEOF(err))
		}
		if len(body) > maxAnswer {
			body, l.broken = body[:maxAnswer], true
		}
		l.broken = l.broken || answer.Close || answer.StatusCode < 200
		l.used = true
		return &said{status: answer.StatusCode, header: answer.Header, body: body}, nil
	}
	return nil, errors.New("read the answer: only interim ones came")
}

// noEOF gives the end of a connection its name: within an answer it is never
// the proper end.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (l *link) close() error {
	l.broken = true
	if err := l.conn.Close(); err != nil && !isOver(err) {
		return fmt.Errorf("close a connection: %w", err)
	}
	return nil
}

// isOver reports whether an error only says that the connection had ended.
func isOver(err error) bool {
	var timeout net.Error
	return errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, syscall.ECONNRESET) || errors.As(err, &timeout) && timeout.Timeout()
}
