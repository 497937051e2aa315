package script

import (
	"fmt"
	"strings"
)

// Transcript is what is said and asked, for people to read: a line for each
// text, a line for each digit with what it does in brackets, and the message
// for a machine where it differs.
//
//	Good day Ann. The kettle now costs $39.00.
//	Press 1 to confirm, 9 to stop these calls.
//	[1] (confirm) Thank you.
//	[9] (stop) You will get no more of these calls.
//	[otherwise] Goodbye.
func (s *Script) Transcript() string {
	var b strings.Builder
	writeSteps(&b, s.Steps, "")
	if len(s.Message) > 0 && s.Machine != HangUp {
		writeInline(&b, "[machine]", s.Message, "")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// writeSteps writes a line for each step.
func writeSteps(b *strings.Builder, steps []Step, indent string) {
	for _, step := range steps {
		if words := step.words(); words != "" {
			b.WriteString(indent + words + "\n")
		}
		if step.Gather != nil {
			writeChoices(b, step.Gather, indent)
		}
	}
}

// writeInline writes a mark, such as a digit, and the steps after it on one
// line, and those from the first question on below it.
func writeInline(b *strings.Builder, mark string, steps []Step, indent string) {
	words := []string{mark}
	for i, step := range steps {
		if step.Gather != nil {
			b.WriteString(strings.Join(words, " ") + "\n")
			writeSteps(b, steps[i:], indent+"    ")
			return
		}
		if w := step.words(); w != "" {
			words = append(words, w)
		}
	}
	b.WriteString(strings.Join(words, " ") + "\n")
}

func writeChoices(b *strings.Builder, g *Gather, indent string) {
	for _, c := range g.Choices {
		writeInline(b, fmt.Sprintf("%s[%c]", indent, c.Digit), c.Steps, indent)
	}
	if len(g.Otherwise) > 0 {
		writeInline(b, indent+"[otherwise]", g.Otherwise, indent)
	}
}

// words are what a step says, or what it does in brackets; a pause has none.
func (step Step) words() string {
	switch {
	case step.Say != "":
		return step.Say
	case step.Play != "":
		return "(play " + step.Play + ")"
	case step.Gather != nil:
		if step.Gather.Play != "" {
			return strings.TrimSpace("(play " + step.Gather.Play + ") " + step.Gather.Say)
		}
		return step.Gather.Say
	case step.Record != nil:
		return fmt.Sprintf("(record: %c) %s", step.Record.Yes, step.Record.Ask)
	case step.Transfer != nil && *step.Transfer == "":
		return "(transfer)"
	case step.Transfer != nil:
		return "(transfer " + *step.Transfer + ")"
	case step.Confirm:
		return "(confirm)"
	case step.Stop:
		return "(stop)"
	case step.Repeat:
		return "(repeat)"
	case step.HangUp:
		return "(hang_up)"
	}
	return ""
}
