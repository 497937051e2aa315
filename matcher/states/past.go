package states

// Past walks events of the past once more, as if nothing had been known of
// their slots before. Observations come in the order in which the events were
// accepted. It is not for several goroutines.
type Past struct{ sequence Sequence }

// Step is like Sequence.Step; first says that the slot had not been seen, so
// that what was before it is not known here, whatever it was at the time.
func (p *Past) Step(o Observation) (before Previous, counts, first bool, err error) {
	if p.sequence.states == nil {
		p.sequence.states = map[Slot]*state{}
	}
	if p.sequence.states[o.Slot] == nil {
		p.sequence.states[o.Slot], first = &state{}, true
	}
	before, counts, err = p.sequence.Step(o)
	return before, counts, first, err
}
