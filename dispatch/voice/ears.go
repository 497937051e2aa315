package voice

import "herald/dispatch/voice/answering"

// hearing are ears that tell what a detector finds out, once each.
type hearing struct {
	detector *answering.Detector
	verdict  answering.Verdict
	beeped   bool
}

// newEars makes ears for each call; nil where everybody is taken for a person.
func newEars(m Machines) func() ears {
	return func() ears {
		if m.Ignore {
			return nil
		}
		return &hearing{detector: answering.New(m.Rules), verdict: answering.Unknown}
	}
}

// Hear takes the next samples.
func (h *hearing) Hear(samples []int16) (signs []sign) {
	if v := h.detector.Hear(samples); v != h.verdict {
		h.verdict = v
		signs = append(signs, sign(v))
	}
	if h.detector.Beeped() && !h.beeped {
		h.beeped = true
		signs = append(signs, signBeep)
	}
	return signs
}
