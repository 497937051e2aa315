// Package script is the language of calls: what a call says, what it asks and
// what each digit does.
//
// A script comes in as the YAML that a marketer writes (Parse checks all of
// it and names the line of each mistake) and goes out as a Script that a
// caller walks through, step by step. Its texts are Liquid, which package
// templates compiles and fills by Texts: a value can change what is said, and
// never what is done.
package script

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Script is one call.
type Script struct {
	Machine Machine // what an answering machine gets
	Steps   []Step  // what a person hears, from the first
	Message []Step  // what a machine hears, where that is written apart: see ForMachine

	lines map[string]int // the line of each text by its path; nil for a script that was not parsed
}

// Machine says what is done when a machine answers.
type Machine string

// What a machine that answers gets.
const (
	Leave  Machine = "leave"   // the message, after the beep
	HangUp Machine = "hang_up" // nothing: the call ends
)

// Step is one thing that a call does. Exactly one of its fields is set.
type Step struct {
	Say      string        // this text is spoken; Liquid
	Play     string        // a recording of the account's folder of sounds: "chime.wav"
	Pause    time.Duration // silence, up to 10 s
	Gather   *Gather       // a question, and what the digits do
	Record   *Record       // consent is asked; only with it is the call recorded from here on
	Transfer *string       // the number a person is fetched from; empty: the account's; Liquid
	Confirm  bool          // the member has confirmed
	Stop     bool          // the member wants no more of these calls
	Repeat   bool          // all begins anew, from the first step
	HangUp   bool          // the call ends
}

// Gather asks and waits for one digit. With neither Say nor Play nothing is
// asked: the steps before it did.
type Gather struct {
	Say       string        // the question; Liquid
	Play      string        // a recording that asks, before Say
	Wait      time.Duration // for a digit, after the question
	Tries     int           // how often it is asked
	Choices   []Choice      // by digit, at least one
	Otherwise []Step        // what follows when nothing, or nothing that fits, was pressed
}

// Choice is what a digit does. The steps after the question follow it, unless
// it ends the call or repeats it.
type Choice struct {
	Digit rune // 0 to 9, * or #
	Steps []Step
}

// Record is a question for consent to be recorded.
type Record struct {
	Ask string // Liquid
	Yes rune   // the digit that consents
}

// Place says where a text was written.
type Place struct {
	Path string // "steps[2].gather.choices.1[0].say"
	Line int    // of its first line, from 1; 0 for a script that was not parsed
}

// Texts are the Liquid texts of s: of the steps and then of the message, and
// of a gather its question, its choices by digit, and otherwise. To fill them,
// Clone s and replace them. One that prints nothing leaves a step that does
// nothing.
func (s *Script) Texts() []*string {
	var all []*string
	s.visit(func(_ string, text *string) { all = append(all, text) })
	return all
}

// Places are where each of Texts was written, in their order.
func (s *Script) Places() []Place {
	var all []Place
	s.visit(func(path string, _ *string) { all = append(all, Place{path, s.lines[path]}) })
	return all
}

// visit shows every text with its path.
func (s *Script) visit(show func(path string, text *string)) {
	visitSteps("steps", s.Steps, show)
	visitSteps("message", s.Message, show)
}

func visitSteps(path string, steps []Step, show func(path string, text *string)) {
	for i := range steps {
		step, at := &steps[i], fmt.Sprintf("%s[%d].", path, i)
		switch {
		case step.Say != "":
			show(at+"say", &step.Say)
		case step.Transfer != nil:
			show(at+"transfer", step.Transfer)
		case step.Record != nil:
			show(at+"record.ask", &step.Record.Ask)
		case step.Gather != nil:
			if step.Gather.Say != "" {
				show(at+"gather.say", &step.Gather.Say)
			}
			for _, c := range step.Gather.Choices {
				visitSteps(at+"gather.choices."+string(c.Digit), c.Steps, show)
			}
			visitSteps(at+"gather.otherwise", step.Gather.Otherwise, show)
		}
	}
}

// Clone is a copy that shares nothing with s that can change.
func (s *Script) Clone() *Script {
	return &Script{
		Machine: s.Machine,
		Steps:   cloneSteps(s.Steps),
		Message: cloneSteps(s.Message),
		lines:   s.lines,
	}
}

func cloneSteps(steps []Step) []Step {
	steps = slices.Clone(steps)
	for i := range steps {
		step := &steps[i]
		if step.Transfer != nil {
			number := *step.Transfer
			step.Transfer = &number
		}
		if step.Record != nil {
			record := *step.Record
			step.Record = &record
		}
		if step.Gather != nil {
			gather := *step.Gather
			gather.Choices = slices.Clone(gather.Choices)
			for k := range gather.Choices {
				gather.Choices[k].Steps = cloneSteps(gather.Choices[k].Steps)
			}
			gather.Otherwise = cloneSteps(gather.Otherwise)
			step.Gather = &gather
		}
	}
	return steps
}

// ForMachine is what an answering machine hears: Message, or what the steps
// say before they ask, transfer or hang up for the first time; a question for
// consent is left out. It is empty when the machine gets nothing.
func (s *Script) ForMachine() []Step {
	if s.Machine == HangUp {
		return nil
	}
	if len(s.Message) > 0 {
		return cloneSteps(s.Message)
	}
	var said []Step
	for _, step := range s.Steps {
		switch {
		case step.Gather != nil, step.Transfer != nil, step.HangUp:
			return said
		case step.Say != "", step.Play != "", step.Pause > 0:
			said = append(said, step)
		}
	}
	return said
}

// Gist is what the call is about, for a digest that has it among others: what
// the steps say before they ask, transfer or hang up for the first time, in
// one line. The first of several texts, which greets and says who calls, is
// left out.
func (s *Script) Gist() string {
	var said []string
	for _, step := range s.Steps {
		if step.Gather != nil || step.Transfer != nil || step.HangUp {
			break
		}
		if step.Say != "" {
			said = append(said, step.Say)
		}
	}
	if len(said) > 1 {
		said = said[1:]
	}
	return strings.Join(said, " ")
}
