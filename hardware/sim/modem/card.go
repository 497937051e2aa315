package modem

// card is the SIM in the tray and what it remembers.
type card struct {
	sim      SIM
	unlocked bool
	pin      int // wrong ones that it still takes
	puk      int
}

func (c *card) insert(sim SIM) {
	*c = card{sim: sim, unlocked: sim.PIN == "", pin: 3, puk: 10}
}

// status is what AT+CPIN? says (3GPP TS 27.007, section 8.3).
func (c *card) status() string {
	switch {
	case c.unlocked:
		return "READY"
	case c.pin == 0:
		return "SIM PUK"
	}
	return "SIM PIN"
}

// problem is why the card cannot be used, or nil.
func (c *card) problem(messages bool) *failure {
	switch {
	case c.sim.Missing:
		return pick(messages, 310, 10)
	case c.unlocked:
		return nil
	case c.pin == 0:
		return pick(messages, 316, 12)
	}
	return pick(messages, 311, 11)
}

func pick(messages bool, cms, cme int) *failure {
	if messages {
		return &failure{cms: true, code: cms}
	}
	return &failure{code: cme}
}

// enter takes a PIN, or a PUK with a new PIN.
func (c *card) enter(code, newPIN string) *failure {
	switch {
	case c.sim.Missing:
		return &failure{code: 10}
	case c.unlocked:
		return &failure{code: 3}
	case c.pin == 0:
		return c.enterPUK(code, newPIN)
	case code != c.sim.PIN:
		c.pin--
		if c.pin == 0 {
			return &failure{code: 12}
		}
		return &failure{code: 16}
	}
	c.pin, c.unlocked = 3, true
	return nil
}

func (c *card) enterPUK(code, newPIN string) *failure {
	switch {
	case newPIN == "":
		return &failure{code: 12}
	case c.puk == 0:
		return &failure{code: 13} // SIM failure: it is blocked for good
	case code != c.sim.PUK:
		c.puk--
		return &failure{code: 16}
	}
	c.sim.PIN, c.pin, c.puk, c.unlocked = newPIN, 3, 10, true
	return nil
}
