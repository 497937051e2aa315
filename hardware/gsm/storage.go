package gsm

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// toRead are the memories that something may wait in. "MT" is the others
// together.
func (m *Modem) toRead() []string {
	if m.memory == "MT" {
		return slices.DeleteFunc(slices.Clone(m.memories), func(s string) bool { return s == "SM" || s == "ME" })
	}
	return slices.DeleteFunc(slices.Clone(m.memories), func(s string) bool { return s == "MT" })
}

// fullAt is the part of the storage from which on it is nearly full.
const fullAt = 0.8

// readAll lists the memories that something waits in. What stays there is
// looked for again next time.
func (in *inbox) readAll(ctx context.Context) (all []arrival, full bool, err error) {
	in.mu.Lock()
	memories := in.dirty
	in.dirty = map[string]bool{}
	in.mu.Unlock()
	if err := in.m.take(ctx, in.p); err != nil {
		return nil, false, err
	}
	defer in.m.give()
	for memory := range memories {
		list, nearlyFull, err := in.readOne(ctx, memory)
		if err != nil {
			for again := range memories {
				in.mark(again)
			}
			return nil, false, fmt.Errorf("read %s: %w", memory, err)
		}
		all, full = append(all, list...), full || nearlyFull
	}
	return all, full, in.chooseOurs(ctx)
}

func (in *inbox) readOne(ctx context.Context, memory string) (list []arrival, full bool, err error) {
	used, capacity, err := in.choose(ctx, memory)
	if isRefusal(err) {
		return nil, false, nil // it has no such memory now
	}
	if err == nil && used > 0 {
		list, err = in.list(ctx, memory, capacity)
	}
	if memory == in.m.memory {
		in.m.update(func(h *Health) { h.Used, h.Capacity = used, capacity })
	}
	return list, capacity > 0 && float64(used) >= fullAt*float64(capacity), err
}

// choose makes a memory the one that is read and deleted from.
func (in *inbox) choose(ctx context.Context, memory string) (used, capacity int, err error) {
	in.chosen = memory
	lines, err := in.p.do(ctx, command{text: fmt.Sprintf(`AT+CPMS="%s"`, memory), own: prefixed("+CPMS:")}, 0, nil)
	if err != nil || len(lines) == 0 {
		return 0, 0, err
	}
	values := fields(lines[0])
	return max(number(values, 0), 0), max(number(values, 1), 0), nil
}

// chooseOurs goes back to the memory that the modem was set up with.
func (in *inbox) chooseOurs(ctx context.Context) error {
	if in.chosen == "" || in.m.memory == "" || in.chosen == in.m.memory {
		return nil
	}
	_, _, err := in.choose(ctx, in.m.memory)
	return err
}

// listMax is how many places are looked at singly: more than a SIM has.
const listMax = 255

// list reads a memory: all at once, or place by place where the modem cannot.
func (in *inbox) list(ctx context.Context, memory string, capacity int) ([]arrival, error) {
	lines, err := in.p.do(ctx, command{text: "AT+CMGL=4", own: prefixed("+CMGL:")}, 0, nil)
	if err == nil {
		return arrivals(memory, lines), nil
	}
	if !isRefusal(err) {
		return nil, err
	}
	var all []arrival
	for index := range min(capacity, listMax) + 1 { // some count from 0, some from 1
		lines, err := in.p.do(ctx, command{text: fmt.Sprintf("AT+CMGR=%d", index), own: prefixed("+CMGR:")}, 0, nil)
		if err != nil && !isRefusal(err) {
			return nil, err
		}
		if len(lines) == 2 {
			a := arrival{memory: memory, index: index}
			a.unit, _ = hex.DecodeString(lines[1])
			a.read()
			all = append(all, a)
		}
	}
	return all, nil
}

// arrivals reads pairs of "+CMGL: <index>,<stat>,[<alpha>],<length>" and unit.
func arrivals(memory string, lines []string) []arrival {
	var all []arrival
	for i := 0; i+1 < len(lines); i++ {
		if !strings.HasPrefix(lines[i], "+CMGL:") || strings.HasPrefix(lines[i+1], "+CMGL:") {
			continue
		}
		values := fields(lines[i])
		index := number(values, 0)
		if status := number(values, 1); index < 0 || status > 1 { // 2 and 3 are what is to be sent, or was
			continue
		}
		a := arrival{memory: memory, index: index}
		a.unit, _ = hex.DecodeString(lines[i+1])
		a.read()
		all = append(all, a)
	}
	return all
}

// remove deletes what was taken from the storage, and remembers where something stays.
func (in *inbox) remove(ctx context.Context, waiting []arrival, gone []bool) error {
	byMemory := map[string][]int{}
	for i, a := range waiting {
		if gone[i] {
			byMemory[a.memory] = append(byMemory[a.memory], a.index)
		} else {
			in.mark(a.memory)
		}
	}
	if len(byMemory) == 0 {
		return nil
	}
	if err := in.m.take(ctx, in.p); err != nil {
		return err
	}
	defer in.m.give()
	for memory, indexes := range byMemory {
		if memory != in.chosen {
			if _, _, err := in.choose(ctx, memory); err != nil {
				return err
			}
		}
		for _, index := range indexes {
			if _, err := in.p.do(ctx, command{text: fmt.Sprintf("AT+CMGD=%d", index)}, 0, nil); err != nil && !is(err, CMS, cmsNoSuchIndex) {
				return fmt.Errorf("delete from %s: %w", memory, err)
			}
		}
		in.m.update(func(h *Health) {
			if memory == h.Memory {
				h.Used = max(h.Used-len(indexes), 0)
			}
		})
	}
	return in.chooseOurs(ctx)
}
