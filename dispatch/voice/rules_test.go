package voice

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

// TestWhateverTheyDo holds what must be true of every performance, whatever the
// script says and the far end does.
func TestWhateverTheyDo(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		source, happens := aScript(rt), someEvents(rt)
		records, hears := rapid.Bool().Draw(rt, "records"), rapid.Bool().Draw(rt, "hears")
		var r *rehearsal
		synctest.Test(t, func(t *testing.T) {
			r = rehearse(t, source, func(r *rehearsal) {
				if r.play.rules.record = records; hears {
					r.play.ears = scriptedEars{}
				}
			}, happens...)
		})
		p, said := r.play, strings.Join(r.line.heard, " ")
		pressed := func(digit string) bool {
			return slices.ContainsFunc(happens, func(e string) bool { return strings.Contains(e, " "+digit) })
		}
		for rule, broken := range map[string]bool{
			"the call ends":                         !r.ended,
			"it is known who answered":              p.by == "",
			"no more is heard than there is":        p.heard > p.of || p.heard < 0,
			"a machine is not a person reached":     p.by == machine && p.reached(),
			"who confirms has pressed the digit":    p.confirmed && !pressed("1"),
			"who stops has pressed the digit":       p.stopped && !pressed("9"),
			"a recording is agreed to":              p.stopRecording != nil && (!records || !pressed("1") || !strings.Contains(said, "may we")),
			"where it asks to confirm, that counts": asksToConfirm(p.script.Steps) && p.reached() && !p.confirmed,
			"nothing is said after the end":         strings.Contains(said, "(hang up) "),
			"it does not go on for ever":            len(r.line.heard) > 200,
		} {
			if broken {
				rt.Errorf("%s: %s with %q comes to %s: %s", rule, source, happens, r.came(), said)
			}
		}
	})
}

// aScript is some steps in some order.
func aScript(rt *rapid.T) string {
	step := rapid.SampledFrom([]string{
		"{say: hello}", "{play: chime.wav}", "{pause: 300ms}", "{record: {ask: may we, yes: 1}}", "{transfer: \"\"}",
		"{gather: {say: choose, wait: 1s, tries: 2, choices: {1: [{confirm: true}, {say: thanks}], 2: [{repeat: true}], 9: [{stop: true}]}, otherwise: [{say: nothing}]}}",
		"{gather: {wait: 1s, choices: {2: [{repeat: true}], 9: [{stop: true}, {hang_up: true}]}}}",
	})
	steps := append([]string{"{say: greeting}"}, rapid.SliceOfN(step, 0, 6).Draw(rt, "steps")...)
	if rapid.Bool().Draw(rt, "hangs up") {
		steps = append(steps, "{hang_up: true}")
	}
	return fmt.Sprintf("machine: %s\nsteps: [%s]\n", rapid.SampledFrom([]string{"leave", "hang_up"}).Draw(rt, "machine"), strings.Join(steps, ", "))
}

// someEvents are what the far end does, and when.
func someEvents(rt *rapid.T) []string {
	return rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) string {
		what := rapid.SampledFrom([]string{"1", "2", "9", "5", "1 bye", "bye", "person", "machine", "beep", "end"}).Draw(rt, "what")
		return fmt.Sprintf("%dms %s", 10*rapid.IntRange(0, 600).Draw(rt, "at"), what)
	}), 0, 6).Draw(rt, "events")
}
