package bounces

import (
	"regexp"
	"strings"

	"herald/dispatch"
)

// What follows is a copy of our own mail, which must not be read as a reason.
var aCopyBegins = regexp.MustCompile(`(?mi)^(-{3,} ?(this is a copy of|below this line|the body of|original message|returned|forwarded)|original message headers:?|--- enclosed|--- below|return-path:|received: |>? ?message-id:)`)

// reason is the part of a server's words before the copy.
func reason(words string) string {
	if at := aCopyBegins.FindStringIndex(words); at != nil {
		return words[:at[0]]
	}
	return words
}

var (
	eximFailed  = regexp.MustCompile(`(?i)following address(es\)|\(es\)|es)? failed:?`)
	eximWarning = regexp.MustCompile(`(?i)has not (yet )?been (yet )?delivered to (one or more|all) of its\s+recipients`)
)

// readExim reads Exim's bounce that has no report part: the addresses, each
// with what was said of it, below "The following address(es) failed:". (Exim
// specification, chapter 49, "Customizing bounce and warning messages".)
func readExim(words string) finding {
	words = reason(words)
	if at := eximFailed.FindStringIndex(words); at != nil {
		words = words[at[1]:]
	}
	return failed(exim, words)
}

// isEximWarning finds Exim's word of a delay, which has no X-Failed-Recipients.
func (m *letter) isEximWarning() bool {
	return m.isFromDaemon() && eximWarning.MatchString(reason(m.words))
}

// qmailHello begins a bounce of qmail and of those who write like it (D. J.
// Bernstein, The qmail-send Bounce Message Format, "QSBMF").
var qmailHello = regexp.MustCompile(`^\s*Hi\. This is the`)

// readQmail reads QSBMF: paragraphs, of which those that begin with an address
// in brackets and a colon say why, and one that begins with a dash ends it.
func readQmail(words string) finding {
	var why []string
	for paragraph := range strings.SplitSeq(strings.ReplaceAll(words, "\r\n", "\n"), "\n\n") {
		paragraph = strings.TrimLeft(paragraph, "\n")
		if strings.HasPrefix(paragraph, "-") {
			break
		}
		if strings.HasPrefix(paragraph, "<") {
			why = append(why, paragraph)
		}
	}
	return failed(qmail, strings.Join(why, "\n"))
}

// failed is a failure for good whose reason is in words.
func failed(k kind, words string) finding {
	c := codesIn(words)
	f := finding{kind: k, event: c.failure(), code: c.String(), detail: scrub(words, nil)}
	f.addressDead = f.event == dispatch.ReportBounced && c.isNobody()
	return f
}

// readText finds a code in a server's free words, as older Exchange and Domino
// write them ("#550 5.1.1 RESOLVER.ADR.RecipNotFound; not found"). Without a
// code that says more than a class nothing is concluded. A temporary
// one means no more than a delay: the words do not tell whether it was given up.
func readText(words string) finding {
	words = reason(words)
	at := anEnhanced.FindStringSubmatchIndex(words)
	if at == nil {
		return finding{kind: other}
	}
	begin := strings.LastIndexByte(words[:at[2]], '\n') + 1
	line := words[begin:]
	if end := strings.IndexByte(words[at[3]:], '\n'); end >= 0 {
		line = words[begin : at[3]+end]
	}
	c := codesIn(line)
	f := finding{kind: text, code: c.String(), detail: scrub(line, nil)}
	switch c.class() {
	case '4':
		f.event = dispatch.ReportDelayed
	case '5':
		f.event = c.failure()
		f.addressDead = f.event == dispatch.ReportBounced && c.isNobody()
	default:
		f.kind = other
	}
	return f
}

// complains reads an abuse report. Its type decides (RFC 5965, section 7.3;
// opt-out from the drafts before it, and still in use): a reader's "not spam" is no
// complaint, nor is a failed authentication (RFC 6591) or a virus, which
// nobody but a program has seen.
func (m *letter) complains() finding {
	f := finding{kind: complaint, returned: m.returned}
	for _, field := range fields(m.feedback, false) {
		switch field.name {
		case "feedback-type":
			f.code = strings.ToLower(field.value)
		case "original-mail-from":
			f.returned.from = append(f.returned.from, field.value)
		}
	}
	switch f.code {
	case "abuse", "fraud", "other":
		f.event = dispatch.ReportComplained
	case "opt-out", "opt-out-list":
		f.event = dispatch.ReportUnsubscribed
	}
	return f
}
