package hfaxd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// What a client may send at most, in bytes.
const (
	mostLine     = 4 << 10
	mostDocument = 64 << 20
)

// idleFor is how long a client may say nothing, as hfaxd has it.
const idleFor = 15 * time.Minute

// session is a client's.
type session struct {
	server *Server
	conn   net.Conn
	read   *bufio.Reader
	user   string
	in     bool              // signed in
	job    *job              // the current one; nil: the default
	files  map[string][]byte // that were stored, by name
	own    []*job            // that were made here, and not submitted
	format map[string]string // by the command that sets it

	passive net.Listener // where we wait for the next data; nil: at active
	active  string       // where the client waits
}

func newSession(s *Server, conn net.Conn) *session {
	return &session{
		server: s, conn: conn, read: bufio.NewReaderSize(conn, mostLine), files: map[string][]byte{},
		format: map[string]string{
			"JOBFMT": "%-4j %3i %1a %6.6o %-12.12e %5P %5D %7z %.25s", "MDMFMT": "Modem %m (%n): %s",
			"RCVFMT": "%-7m %4p%1z %-8.8o %14.14s %7t %f", "FILEFMT": "%-7p %3l %8o %8s %-12.12m %.48f",
		},
	}
}

// reply says one line.
func (c *session) reply(code int, words string, args ...any) bool {
	return c.write(fmt.Sprintf("%d %s\r\n", code, fmt.Sprintf(words, args...)))
}

func (c *session) write(text string) bool {
	_ = c.conn.SetWriteDeadline(time.Now().Add(time.Minute)) // it is no file
	_, err := io.WriteString(c.conn, text)
	return err == nil
}

// serve answers commands until the client leaves.
func (c *session) serve() {
	defer c.leave()
	if !c.reply(220, "simulator server (HylaFAX (tm) Version 6.0.7) ready.") {
		return
	}
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(idleFor)) // it is no file
		line, err := c.read.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			c.reply(500, "Command line too long.")
			return
		}
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
		if !c.obey(strings.ToUpper(verb), strings.TrimSpace(rest)) {
			return
		}
	}
}

// leave forgets what the client left behind.
func (c *session) leave() {
	c.closePassive()
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	for _, j := range c.own {
		if c.server.jobs[j.id] == j {
			delete(c.server.jobs, j.id)
		}
	}
}

// obey does a command; false: the session ends.
func (c *session) obey(verb, rest string) bool {
	switch verb {
	case "USER":
		return c.signIn(rest, "")
	case "PASS":
		return c.signIn(c.user, unquoted(rest))
	case "QUIT":
		c.reply(221, "Goodbye.")
		return false
	case "NOOP", "TYPE", "STRU":
		return c.reply(200, "%s command successful.", verb)
	case "MODE":
		if !strings.EqualFold(rest, "S") {
			return c.reply(504, "Mode %s not supported.", rest)
		}
		return c.reply(200, "Mode set to Stream.")
	}
	if !c.in {
		return c.reply(530, "Please login with USER and PASS.")
	}
	switch verb {
	case "TZONE":
		return c.reply(200, "Using time values in UTC.")
	case "FORM":
		return c.reply(200, "Format set to %s.", strings.ToUpper(rest))
	case "IDLE", "SYST":
		return c.reply(200, "%s command successful.", verb)
	case "PASV":
		return c.listen()
	case "PORT", "EPRT":
		return c.call(verb, rest)
	case "STOT", "STOU":
		return c.store(verb)
	case "LIST":
		return c.list(rest)
	case "JOBFMT", "MDMFMT", "RCVFMT", "FILEFMT":
		if rest == "" {
			return c.reply(200, "%s", c.format[verb])
		}
		c.format[verb] = unquoted(rest)
		return c.reply(200, "%s command successful.", verb)
	}
	if do, found := jobCommands[verb]; found {
		return do(c, rest)
	}
	return c.reply(500, "%s: Command not recognized.", verb)
}

func (c *session) signIn(user, password string) bool {
	if user == "" {
		return c.reply(503, "Login with USER first.")
	}
	c.user = user
	wanted, known := c.server.cfg.Accounts[user]
	switch {
	case len(c.server.cfg.Accounts) == 0, known && password == wanted:
		c.in = true
		return c.reply(230, "User %s logged in.", user)
	case password == "":
		return c.reply(331, "Password required for %s.", user)
	}
	return c.reply(530, "Login incorrect.")
}

// listen waits for the client's next data (RFC 959, PASV).
func (c *session) listen() bool {
	c.closePassive()
	host, _, err := net.SplitHostPort(c.conn.LocalAddr().String())
	if err != nil {
		return false
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return c.reply(425, "Can't open passive connection.")
	}
	c.passive = l
	at, isTCP := l.Addr().(*net.TCPAddr)
	four := at.IP.To4()
	if !isTCP || four == nil {
		return c.reply(425, "Can't open passive connection.")
	}
	return c.reply(227, "Entering passive mode (%d,%d,%d,%d,%d,%d)", four[0], four[1], four[2], four[3], at.Port>>8, at.Port&0xff)
}

func (c *session) closePassive() {
	if c.passive != nil {
		_ = c.passive.Close() // nobody waits for it
		c.passive = nil
	}
}

// call notes where the client waits for the next data (RFC 959, PORT; RFC
// 2428, EPRT). It is always called at its own address.
func (c *session) call(verb, rest string) bool {
	port := 0
	if fields := strings.Split(rest, "|"); verb == "EPRT" && len(fields) == 5 {
		port, _ = strconv.Atoi(fields[3]) // 0: it is no number
	} else if fields := strings.Split(rest, ","); verb == "PORT" && len(fields) == 6 {
		high, _ := strconv.Atoi(fields[4]) // the same
		low, _ := strconv.Atoi(fields[5])
		port = high<<8 + low
	}
	host, _, err := net.SplitHostPort(c.conn.RemoteAddr().String())
	if err != nil || port < 1 || port > 65535 {
		return c.reply(501, "%s: Syntax error in parameters.", verb)
	}
	c.closePassive()
	c.active = net.JoinHostPort(host, strconv.Itoa(port))
	return c.reply(200, "%s command successful.", verb)
}

// data says that a transfer begins, and opens its connection; nil: it cannot.
func (c *session) data(words string, args ...any) net.Conn {
	const patience = 10 * time.Second
	if c.passive == nil && c.active == "" {
		c.reply(425, "Can't build data connection.")
		return nil
	}
	if !c.reply(150, words, args...) {
		return nil
	}
	var conn net.Conn
	var err error
	if c.passive != nil {
		if l, isTCP := c.passive.(*net.TCPListener); isTCP {
			_ = l.SetDeadline(time.Now().Add(patience)) // Accept says why
		}
		conn, err = c.passive.Accept()
	} else {
		conn, err = net.DialTimeout("tcp", c.active, patience)
	}
	c.closePassive()
	c.active = ""
	if err != nil {
		c.reply(425, "Can't build data connection.")
		return nil
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute)) // it is no file
	return conn
}

// store takes a document.
func (c *session) store(verb string) bool {
	c.server.mu.Lock()
	c.server.lastFile++
	name := fmt.Sprintf("/tmp/doc%d.pdf", c.server.lastFile)
	c.server.mu.Unlock()
	conn := c.data("FILE: %s (Opening new data connection).", name)
	if conn == nil {
		return true
	}
	defer conn.Close() //nolint:errcheck // it was only read
	document, err := io.ReadAll(io.LimitReader(conn, mostDocument+1))
	switch {
	case err != nil:
		return c.reply(426, "Data connection: %s.", "it broke")
	case len(document) > mostDocument:
		return c.reply(552, "%s: too long.", verb)
	case len(c.files) == 100:
		return c.reply(452, "%s: too many files.", verb)
	}
	c.files[name] = document
	return c.reply(226, "Transfer complete (FILE: %s).", name)
}

// list writes a directory.
func (c *session) list(directory string) bool {
	var lines []string
	switch strings.Trim(directory, "/") {
	case "status":
		lines = append(lines, "HylaFAX scheduler on simulator: Running")
		for i := range c.server.cfg.Lines {
			lines = append(lines, format(c.format["MDMFMT"], func(letter byte) string {
				return map[byte]string{'m': fmt.Sprintf("sim%d", i), 'n': "+1.555.555.0100", 's': "Running and idle", 'h': "simulator"}[letter]
			}))
		}
	case "sendq":
		lines = c.jobs(false)
	case "doneq":
		lines = c.jobs(true)
	case "docq", "recvq", "tmp", "archive":
	default:
		return c.reply(550, "%s: No such file or directory.", directory)
	}
	conn := c.data("Opening new data connection for %q.", directory)
	if conn == nil {
		return true
	}
	_, err := io.WriteString(conn, strings.Join(append(lines, ""), "\r\n"))
	if err = errors.Join(err, conn.Close()); err != nil {
		return c.reply(426, "Data connection: %s.", "it broke")
	}
	return c.reply(226, "Transfer complete.")
}

// jobs are the lines of those that have ended, or of those that have not.
func (c *session) jobs(over bool) (lines []string) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	for _, j := range c.server.order {
		if j.state.over() == over {
			lines = append(lines, format(c.format["JOBFMT"], j.field))
		}
	}
	return lines
}

// unquoted is a text without the quotation marks around it.
func unquoted(text string) string {
	if len(text) > 1 && text[0] == '"' && text[len(text)-1] == '"' {
		return text[1 : len(text)-1]
	}
	return text
}
