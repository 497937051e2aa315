package hfaxd

import (
	"strconv"
	"strings"
	"time"
)

// state is a job's, by the letter that LIST shows.
type state byte

const (
	suspended state = 'T'
	sleeping  state = 'S'
	ready     state = 'W'
	active    state = 'R'
	done      state = 'D'
	failed    state = 'F'
)

func (s state) over() bool { return s == done || s == failed }

func (s state) String() string {
	return map[state]string{suspended: "SUSPENDED", sleeping: "SLEEPING", ready: "READY", active: "ACTIVE", done: "DONE", failed: "FAILED"}[s]
}

// job is one that a client made. All but id, kill and over is guarded by the
// server's mu.
type job struct {
	id          string
	owner       string
	state       state
	values      map[string]string // by the names of JPARM
	document    []byte
	retry       time.Duration // of RETRYTIME
	pages, sent int
	dials       int
	tries       int
	uncarried   int // dials in a row that somebody answered who is no fax
	arrived     []Page
	code        int
	text        string

	kill chan struct{} // closed when it is killed
	dead bool          // kill is closed
	over chan struct{} // closed when it has ended
}

// abort ends it, and its call. It wants the server's mu held.
func (j *job) abort() {
	if !j.dead {
		j.dead = true
		close(j.kill)
	}
}

// usual are the values of a new job, as hfaxd has them. Those with a number
// take numbers only.
var usual = map[string]string{
	"FROMUSER": "", "LASTTIME": "000300", "SENDTIME": "NOW", "RETRYTIME": "0000", "MODEM": "any", "MAXDIALS": "12", "MAXTRIES": "3",
	"SCHEDPRI": "127", "DIALSTRING": "", "EXTERNAL": "", "SUBADDR": "", "PASSWD": "", "NOTIFYADDR": "", "NOTIFY": "NONE",
	"TOUSER": "", "TOCOMPANY": "", "TOLOCATION": "", "TOVOICE": "", "FROMCOMPANY": "", "FROMLOCATION": "", "FROMVOICE": "",
	"REGARDING": "", "COMMENTS": "", "JOBINFO": "", "VRES": "98", "PAGEWIDTH": "0", "PAGELENGTH": "0", "MINBR": "0", "BEGBR": "13",
	"BEGST": "0", "USEECM": "YES", "USEXVRES": "NO", "DATAFORMAT": "G4", "USETAGLINE": "NO", "TAGLINE": "", "TSI": "",
	"PAGECHOP": "DEFAULT", "CHOPTHRESHOLD": "3", "DONEOP": "default",
}

var numeric = map[string]bool{
	"MAXDIALS": true, "MAXTRIES": true, "SCHEDPRI": true, "VRES": true, "PAGEWIDTH": true, "PAGELENGTH": true,
	"MINBR": true, "BEGBR": true, "BEGST": true, "RETRYTIME": true, "LASTTIME": true,
}

// read is the value of a parameter; false: there is none of that name.
func (j *job) read(name string) (string, bool) {
	switch name {
	case "STATE":
		return j.state.String(), true
	case "STATUS":
		return j.text, true
	case "STATUSCODE":
		return pad(j.code, 3), true
	case "NPAGES":
		return strconv.Itoa(j.sent), true
	case "TOTPAGES":
		return strconv.Itoa(j.pages), true
	case "TOTDIALS", "NDIALS":
		return strconv.Itoa(j.dials), true
	case "TOTTRIES", "NTRIES":
		return strconv.Itoa(j.tries), true
	case "JOBID", "GROUPID":
		return j.id, true
	case "OWNER":
		return j.owner, true
	case "USRKEY":
		name = "JOBINFO"
	}
	value, found := j.values[name]
	return value, found
}

// write sets the value of a parameter; wrong says why not.
func (j *job) write(name, value string) (wrong string) {
	if name == "USRKEY" {
		name = "JOBINFO"
	}
	if _, found := j.values[name]; !found {
		return "Unknown parameter " + name
	}
	if numeric[name] {
		if n, err := strconv.ParseUint(value, 10, 31); err != nil || n > 999_999 {
			return "Invalid number " + value
		}
	}
	if name == "RETRYTIME" && len(value) == 4 {
		n, _ := strconv.Atoi(value) // it is a number
		j.retry = time.Duration(n/100)*time.Minute + time.Duration(n%100)*time.Second
	}
	j.values[name] = value
	return ""
}

// number is the value of a parameter that takes numbers.
func (j *job) number(name string) int {
	n, _ := strconv.Atoi(j.values[name]) // write sees to it
	return n
}

// field is what a letter of a format means (hfaxd(8), JobFmt).
func (j *job) field(letter byte) string {
	pair := func(a, b string) string { return padLeft(a, 2) + ":" + padRight(b, 2) }
	sent, pages, dials, tries := strconv.Itoa(j.sent), strconv.Itoa(j.pages), strconv.Itoa(j.dials), strconv.Itoa(j.tries)
	switch letter {
	case 'j', 'g':
		return j.id
	case 'a':
		return string(rune(j.state))
	case 'P':
		return pair(sent, pages)
	case 'D':
		return pair(dials, j.values["MAXDIALS"])
	case 'T':
		return pair(tries, j.values["MAXTRIES"])
	case 'p':
		return sent
	case 'y':
		return pages
	case 'd':
		return dials
	case 't':
		return tries
	case 's':
		return j.text
	case 'o':
		return j.owner
	case 'X':
		return "F"
	}
	return j.values[parameterOf[letter]]
}

// parameterOf are the parameters that letters of a format mean.
var parameterOf = map[byte]string{
	'J': "JOBINFO", 'e': "DIALSTRING", 'v': "DIALSTRING", 'S': "FROMUSER", 'R': "TOUSER", 'M': "NOTIFYADDR", 'm': "MODEM",
	'i': "SCHEDPRI", 'I': "SCHEDPRI", 'x': "MAXDIALS", 'u': "MAXTRIES", 'r': "VRES", 'w': "PAGEWIDTH", 'l': "PAGELENGTH",
}

// format fills in a format such as "%-4j %.25s" (hfaxd(8)).
func format(text string, field func(letter byte) string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		i++
		left := text[i] == '-'
		if left {
			i++
		}
		var width, most int
		width, i = digits(text, i)
		limited := i < len(text) && text[i] == '.'
		if limited {
			most, i = digits(text, i+1)
		}
		if i == len(text) {
			break
		}
		if text[i] == '%' {
			b.WriteByte('%')
			continue
		}
		value := field(text[i])
		if limited && len(value) > most {
			value = value[:most]
		}
		if left {
			value = padRight(value, width)
		}
		b.WriteString(padLeft(value, width))
	}
	return b.String()
}

// digits reads a number up to 999 at i, and gives where it ends.
func digits(text string, i int) (n, end int) {
	for ; i < len(text) && text[i] >= '0' && text[i] <= '9'; i++ {
		n = min(10*n+int(text[i]-'0'), 999)
	}
	return n, i
}

func pad(n, width int) string {
	s := strconv.Itoa(n)
	return strings.Repeat("0", max(0, width-len(s))) + s
}

func padLeft(s string, width int) string { return strings.Repeat(" ", max(0, width-len(s))) + s }

func padRight(s string, width int) string { return s + strings.Repeat(" ", max(0, width-len(s))) }
