package fax

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Resolution is how fine the lines of a page are, in lines per inch.
type Resolution int

// The resolutions that every machine has: ITU-T T.30 calls them standard and
// fine. Chinese text wants Fine.
const (
	Standard Resolution = 98
	Fine     Resolution = 196
)

// Job is a fax to send. What is zero takes the value in brackets.
type Job struct {
	// Number is what is dialled: digits, and + * # , - ( ) . and blanks.
	Number string
	// PDF is the document. Its pages are A4.
	PDF []byte
	// Info is our id, which the server keeps with the job and Find looks for:
	// up to 60 letters, digits and . _ : -
	Info string
	// Resolution of the pages (Fine).
	Resolution Resolution
	// NoECM sends without error correction, for machines that have it and do
	// not master it.
	NoECM bool
	// MaxDials is how often the number is dialled at most (3), MaxTries how
	// often a call that was answered is tried again (3).
	MaxDials, MaxTries int
	// RetryAfter is how long after a try the next one comes, in whole seconds
	// up to 99 minutes (as the server is configured for each failure).
	RetryAfter time.Duration
	// LastTime is how long the server may try, in whole minutes up to 99 days
	// (3 hours).
	LastTime time.Duration
	// From is whom the job is from, as the server's log has it (Username).
	From string
	// Modem is a modem, or a class of modems, of the server ("any").
	Modem string
}

func (j Job) complete(username string) (Job, error) {
	if j.Number == "" || len(j.Number) > 60 || strings.Trim(j.Number, "+0123456789*#,-(). ") != "" || !strings.ContainsAny(j.Number, "0123456789") {
		return j, fmt.Errorf("%w: that is no number to dial", ErrJob)
	}
	if !bytes.HasPrefix(j.PDF, []byte("%PDF-")) {
		return j, fmt.Errorf("%w: the document is no PDF", ErrJob)
	}
	if !isInfo(j.Info) {
		return j, fmt.Errorf("%w: our id is not of 1 to 60 letters, digits and . _ : -", ErrJob)
	}
	if j.Resolution == 0 {
		j.Resolution = Fine
	}
	for field, usual := range map[*int]int{&j.MaxDials: 3, &j.MaxTries: 3} {
		if *field == 0 {
			*field = usual
		}
		if *field < 0 || *field > 99 {
			return j, fmt.Errorf("%w: tries are 1 to 99", ErrJob)
		}
	}
	if j.LastTime == 0 {
		j.LastTime = 3 * time.Hour
	}
	if j.LastTime < time.Minute || j.LastTime > 99*24*time.Hour {
		return j, fmt.Errorf("%w: the last time is a minute to 99 days away", ErrJob)
	}
	if j.RetryAfter < 0 || j.RetryAfter >= 100*time.Minute {
		return j, fmt.Errorf("%w: tries are up to 99 minutes apart", ErrJob)
	}
	if j.From == "" {
		j.From = username
	}
	if j.Modem == "" {
		j.Modem = "any"
	}
	if !isText(j.From, 60) || !isName(j.Modem) {
		return j, fmt.Errorf("%w: the sender or the modem has characters that do not print", ErrJob)
	}
	return j, nil
}

func isInfo(info string) bool {
	return info != "" && len(info) <= 60 && !strings.ContainsFunc(info, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("._:-", r)
	})
}

// parameters are the job's, for JPARM, as sendfax gives them.
func (j Job) parameters(username, document string) [][2]string {
	minutes, seconds := int(j.LastTime/time.Minute), int(j.RetryAfter/time.Second)
	ecm := "YES"
	if j.NoECM {
		ecm = "NO"
	}
	all := [][2]string{
		{"FROMUSER", quoted(j.From)},
		{"LASTTIME", fmt.Sprintf("%02d%02d%02d", minutes/(24*60), minutes/60%24, minutes%60)},
		{"MODEM", quoted(j.Modem)},
		{"MAXDIALS", strconv.Itoa(j.MaxDials)},
		{"MAXTRIES", strconv.Itoa(j.MaxTries)},
		{"DIALSTRING", quoted(j.Number)},
		{"NOTIFYADDR", quoted(username + "@localhost")}, // it must be one; nothing is sent there
		{"NOTIFY", quoted("none")},
		{"JOBINFO", quoted(j.Info)},
		{"VRES", strconv.Itoa(int(j.Resolution))},
		{"PAGEWIDTH", "209"}, // millimetres that are printed of A4, as in HylaFAX's pagesizes(5)
		{"PAGELENGTH", "296"},
		{"USEECM", ecm},
		{"PAGECHOP", quoted("none")},
		{"DOCUMENT", document},
	}
	if seconds > 0 {
		all = append(all, [2]string{"RETRYTIME", fmt.Sprintf("%02d%02d", seconds/60, seconds%60)})
	}
	return all
}

// Submit hands over a fax and returns what the server calls its job. When it
// fails there is no such job, and the same may be submitted again; only with
// ErrUnanswered nobody knows: open another session and Find it. It fails
// with ErrJob, ErrGone, ErrProtocol, ErrUnanswered or a *Refusal.
func (c *Conn) Submit(ctx context.Context, job Job) (id string, err error) {
	job, err = job.complete(c.cfg.Username)
	if err != nil {
		return "", err
	}
	document, err := c.store(ctx, job.PDF)
	if err != nil {
		return "", err
	}
	if _, err := c.ask(ctx, "JOB", "default"); err != nil { // whose values the new one has
		return "", err
	}
	const tries = 3
	for try := 1; ; try++ {
		if id, err = c.submit(ctx, job, document); try == tries || !forgot(err) {
			return id, err
		}
	}
}

// forgot reports whether the server did not take a job since it had forgotten
// what it was told of it: one in some hundred times, when a second begins in
// which it has just made the job. It reads the job's file again then whenever
// it is asked something, and finds nothing in it yet (checkJobState in
// hfaxd/Jobs.c++; its clock is a moment behind that of files, Linux 6.13).
func forgot(err error) bool {
	var refusal *Refusal
	return errors.As(err, &refusal) && refusal.Command == "JSUBM" && refusal.Code == 504 && strings.Contains(refusal.Text, "null or missing")
}

// submit makes a job of a document that the server has.
func (c *Conn) submit(ctx context.Context, job Job, document string) (id string, err error) {
	said, err := c.ask(ctx, "JNEW", "")
	if err != nil {
		return "", err
	}
	if id = strings.TrimRight(word(said.text, "jobid:"), ".,"); !isID(id) {
		c.broken = fmt.Errorf("%w: its reply to JNEW has no id", ErrProtocol)
		return "", c.broken
	}
	for _, parameter := range job.parameters(c.cfg.Username, document) {
		if _, err := c.ask(ctx, "JPARM", parameter[0]+" "+parameter[1]); err != nil {
			return "", c.abandon(ctx, id, err)
		}
	}
	if _, err = c.ask(ctx, "JSUBM", id); err == nil {
		return id, nil
	}
	var refusal *Refusal
	if errors.As(err, &refusal) && !refusal.Temporary() {
		return "", c.abandon(ctx, id, err)
	}
	// The connection broke, or hfaxd gave the job to a faxq that says nothing,
	// and will see it when it is itself again.
	return "", fmt.Errorf("%w: %w", ErrUnanswered, err)
}

// abandon deletes a job that was not submitted, and returns why. The server
// does so by itself when the session breaks.
func (c *Conn) abandon(ctx context.Context, id string, why error) error {
	if c.broken == nil {
		_, _ = c.ask(ctx, "JDELE", id) // it is deleted at the session's end, too
	}
	return why
}

// isID reports whether a server's id of a job is one: a number.
func isID(id string) bool {
	return id != "" && len(id) <= 10 && strings.Trim(id, "0123456789") == ""
}
