package fax

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Conn is a session with a server, for one goroutine at a time. A server ends
// a session in which nothing is asked for 15 minutes.
type Conn struct {
	cfg    Config
	conn   net.Conn
	read   *bufio.Reader
	broken error // why it can be used no more
}

// Open connects and signs in. It fails with ErrConfig, ErrGone, ErrLogin, or a
// *Refusal.
func Open(ctx context.Context, cfg Config) (*Conn, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	conn, err := cfg.Dial(ctx, "tcp", cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGone, err)
	}
	c := &Conn{cfg: cfg, conn: conn, read: bufio.NewReaderSize(conn, mostLine)}
	if err := c.signIn(ctx); err != nil {
		_ = conn.Close() // there is no session to end
		return nil, err
	}
	return c, nil
}

func (c *Conn) signIn(ctx context.Context) error {
	greeting, err := c.listen(ctx, "the greeting")
	for err == nil && greeting.class() == preliminary { // "120 Service ready in nnn minutes"
		greeting, err = c.listen(ctx, "the greeting")
	}
	if err != nil {
		return err
	}
	said, err := c.ask(ctx, "USER", c.cfg.Username)
	if err == nil && said.class() == intermediate {
		said, err = c.ask(ctx, "PASS", quoted(c.cfg.Password))
	}
	var refusal *Refusal
	if errors.As(err, &refusal) && !refusal.Temporary() {
		return fmt.Errorf("%w: %w", ErrLogin, err)
	}
	if err == nil && said.class() != completed {
		return fmt.Errorf("%w: it wants more than a password", ErrLogin)
	}
	for _, line := range [][2]string{{"TZONE", "LOCAL"}, {"TYPE", "I"}, {"MODE", "S"}, {"FORM", "PDF"}, {"JOBFMT", quoted(listFormat)}} {
		if err == nil {
			_, err = c.ask(ctx, line[0], line[1])
		}
	}
	return err
}

// Close ends the session. Closing again does nothing.
func (c *Conn) Close() error {
	if errors.Is(c.broken, ErrClosed) {
		return nil
	}
	if c.broken == nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, _ = c.ask(ctx, "QUIT", "") // it is only polite
	}
	c.broken = ErrClosed
	return c.conn.Close()
}

// Usable reports whether the session can be used still: it is false after
// Close, and after any error that is no *Refusal, ErrJob, ErrOver or ErrUnknown.
func (c *Conn) Usable() bool { return c.broken == nil }

// ask sends a command and reads what is said to it. A negative reply is a
// *Refusal.
func (c *Conn) ask(ctx context.Context, verb, rest string) (reply, error) {
	if err := c.say(ctx, verb, rest); err != nil {
		return reply{}, err
	}
	return c.listen(ctx, verb)
}

// say sends a command.
func (c *Conn) say(ctx context.Context, verb, rest string) error {
	if c.broken != nil {
		return c.broken
	}
	line := verb
	if rest != "" {
		line += " " + rest
	}
	return c.during(ctx, c.conn, func() error {
		_, err := io.WriteString(c.conn, line+"\r\n")
		return err
	})
}

// listen reads the reply to verb.
func (c *Conn) listen(ctx context.Context, verb string) (reply, error) {
	return c.listenUntil(ctx, verb, time.Now().Add(c.cfg.Timeout))
}

// listenUntil is listen with another deadline; zero: there is none but ctx's.
func (c *Conn) listenUntil(ctx context.Context, verb string, deadline time.Time) (said reply, err error) {
	if err := c.duringUntil(ctx, c.conn, deadline, func() (err error) {
		said, err = readReply(c.read)
		return err
	}); err != nil {
		return reply{}, err
	}
	refusal := &Refusal{Command: verb, Code: said.code, Text: said.text}
	switch {
	case said.code == 421: // the server ends the session
		c.broken = fmt.Errorf("%w: %w", ErrGone, refusal)
		return reply{}, c.broken
	case said.class() > intermediate:
		return reply{}, refusal
	}
	return said, nil
}

// during does what reads or writes a connection, for as long as Timeout and
// ctx allow. Its failure breaks the session, whichever connection it is: what
// was half said cannot be taken back.
func (c *Conn) during(ctx context.Context, conn net.Conn, do func() error) error {
	return c.duringUntil(ctx, conn, time.Now().Add(c.cfg.Timeout), do)
}

func (c *Conn) duringUntil(ctx context.Context, conn net.Conn, deadline time.Time, do func() error) error {
	if c.broken != nil {
		return c.broken
	}
	err := conn.SetDeadline(deadline)
	if err == nil {
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // it may be closed
		defer stop()
		if err = ctx.Err(); err == nil {
			err = do()
		}
	}
	if err == nil {
		return nil
	}
	if cause := ctx.Err(); cause != nil {
		err = cause
	}
	if c.broken = err; !errors.Is(err, ErrProtocol) {
		c.broken = fmt.Errorf("%w: %w", ErrGone, err)
	}
	return c.broken
}

// openData connects to where the server listens for data (RFC 959, PASV).
func (c *Conn) openData(ctx context.Context) (net.Conn, error) {
	said, err := c.ask(ctx, "PASV", "")
	if err != nil {
		return nil, err
	}
	port, ok := parsePassive(said.text)
	if !ok {
		c.broken = fmt.Errorf("%w: its reply to PASV has no port", ErrProtocol)
		return nil, c.broken
	}
	// The address is the session's: the one in the reply is the server's own
	// notion of where it is, and not to be followed elsewhere.
	host, _, err := net.SplitHostPort(c.cfg.Address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	data, err := c.cfg.Dial(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		c.broken = fmt.Errorf("%w: for data: %w", ErrGone, err)
		return nil, c.broken
	}
	return data, nil
}

// parsePassive is the port in "Entering passive mode (127,0,0,1,187,151)".
func parsePassive(text string) (port int, ok bool) {
	_, text, found := strings.Cut(text, "(")
	text, _, closed := strings.Cut(text, ")")
	numbers := strings.Split(text, ",")
	if !found || !closed || len(numbers) != 6 {
		return 0, false
	}
	for _, number := range numbers {
		octet, err := strconv.ParseUint(number, 10, 8)
		if err != nil {
			return 0, false
		}
		port = port<<8&0xffff | int(octet)
	}
	return port, port > 0
}

// store gives the server a document and returns what the server calls it.
func (c *Conn) store(ctx context.Context, document []byte) (name string, err error) {
	data, err := c.openData(ctx)
	if err != nil {
		return "", err
	}
	defer data.Close() //nolint:errcheck // it is closed below, where that matters
	said, err := c.ask(ctx, "STOT", "")
	if err != nil {
		return "", err
	}
	if name = word(said.text, "FILE:"); said.class() != preliminary || !isName(name) {
		c.broken = fmt.Errorf("%w: its reply to STOT has no name", ErrProtocol)
		return "", c.broken
	}
	const chunk = 64 << 10
	for len(document) > 0 {
		now := document[:min(chunk, len(document))]
		if err := c.during(ctx, data, func() error {
			_, err := data.Write(now)
			return err
		}); err != nil {
			return "", err
		}
		document = document[len(now):]
	}
	if err := c.during(ctx, data, data.Close); err != nil {
		return "", err
	}
	_, err = c.listen(ctx, "STOT")
	return name, err
}

// mostData is what a listing may have, in bytes.
const mostData = 16 << 20

// list gives each line of a directory's listing.
func (c *Conn) list(ctx context.Context, directory string, line func(string)) error {
	data, err := c.openData(ctx)
	if err != nil {
		return err
	}
	defer data.Close() //nolint:errcheck // it is only read
	if _, err := c.ask(ctx, "LIST", directory); err != nil {
		return err
	}
	read := bufio.NewReaderSize(io.LimitReader(data, mostData), mostLine)
	if err := c.during(ctx, data, func() error { return readLines(read, line) }); err != nil {
		return err
	}
	_, err = c.listen(ctx, "LIST")
	return err
}

func readLines(r *bufio.Reader, line func(string)) error {
	for {
		text, err := readLine(r)
		switch {
		case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
		line(string(text))
	}
}

// quoted is a text as hfaxd wants one.
func quoted(text string) string { return `"` + text + `"` }

// word is the word in a text behind another.
func word(text, before string) string {
	_, rest, _ := strings.Cut(text, before)
	words := strings.Fields(rest)
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

// isName reports whether a name that a server gave can stand in a command.
func isName(name string) bool {
	return name != "" && len(name) <= 255 && isText(name, 255) && !strings.Contains(name, " ")
}
