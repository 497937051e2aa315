package limits

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// question is a slice of messages as reserve_slots takes it: see there for
// what each column is.
type question struct {
	keys          []string
	steps         []float64
	bursts        []int32
	maxima        []int64
	opens, closes []time.Time

	classEnds, classKeys, classUnits []int32
	messageClass, messageNext        []int32

	messages []int // places in the slice of the messages asked about
	free     []int // and of those under no limit
}

const (
	maxUnits = 255
	maxBurst = 1_000_000
	// slowest is the longest between two units.
	slowest = 31 * 24 * time.Hour
)

func newQuestion(slice [][]Want) (*question, error) {
	q := &question{}
	places, err := q.addKeys(slice)
	if err != nil {
		return nil, err
	}
	classes := map[string]int32{}
	var last []int32 // each class's last message
	var class []int32
	var name []byte
	for i, wants := range slice {
		class, name = class[:0], name[:0]
		for _, w := range wants {
			for _, key := range w.rows() {
				class = append(class, places[key], int32(w.Units))
			}
		}
		if len(class) == 0 {
			q.free = append(q.free, i)
			continue
		}
		for _, n := range class {
			name = binary.LittleEndian.AppendUint32(name, uint32(n))
		}
		c, known := classes[string(name)]
		if !known {
			c = int32(len(last) + 1)
			classes[string(name)] = c
			last = append(last, 0)
			q.addClass(class)
		}
		q.messages = append(q.messages, i)
		q.messageClass = append(q.messageClass, c)
		q.messageNext = append(q.messageNext, 0)
		n := int32(len(q.messages))
		if before := last[c-1]; before > 0 {
			q.messageNext[before-1] = n
		}
		last[c-1] = n
	}
	return q, nil
}

// addKeys checks the wants, fills the columns of the keys, and tells the place
// of each from 1. A key that is wanted under two limits is under the stricter.
func (q *question) addKeys(slice [][]Want) (map[string]int32, error) {
	rates, quotas := map[string]Limit{}, map[string]Quota{}
	for i, wants := range slice {
		for j, w := range wants {
			if err := w.check(); err != nil {
				return nil, fmt.Errorf("message %d: %q: %w", i, w.Key, err)
			}
			if slices.ContainsFunc(wants[:j], func(other Want) bool { return other.Key == w.Key }) {
				return nil, fmt.Errorf("message %d: %q is named twice", i, w.Key)
			}
			if other, ok := rates[w.Key]; w.Limit != (Limit{}) {
				rates[w.Key] = stricter(w.Limit, other, ok)
			}
			if other, ok := quotas[w.quotaKey()]; w.Quota != (Quota{}) && (!ok || w.Quota.Max < other.Max) {
				quotas[w.quotaKey()] = w.Quota
			}
		}
	}
	q.keys = slices.AppendSeq(slices.Collect(maps.Keys(rates)), maps.Keys(quotas))
	slices.Sort(q.keys)
	places := make(map[string]int32, len(q.keys))
	for i, key := range q.keys {
		places[key] = int32(i + 1)
		step := 0.0
		if rate, ok := rates[key]; ok {
			step = 1 / rate.PerSecond
		}
		q.steps = append(q.steps, step)
		q.bursts = append(q.bursts, int32(rates[key].Burst))
		q.maxima = append(q.maxima, quotas[key].Max)
		q.opens = append(q.opens, quotas[key].From)
		q.closes = append(q.closes, quotas[key].Until)
	}
	return places, nil
}

// addClass adds keys and units, by turns.
func (q *question) addClass(class []int32) {
	for pair := range slices.Chunk(class, 2) {
		q.classKeys = append(q.classKeys, pair[0])
		q.classUnits = append(q.classUnits, pair[1])
	}
	q.classEnds = append(q.classEnds, int32(len(q.classKeys)))
}

// rows are the keys of the rows that keep what is wanted: one for its rate,
// one for its quota.
func (w Want) rows() []string {
	var rows []string
	if w.Limit != (Limit{}) {
		rows = append(rows, w.Key)
	}
	if w.Quota != (Quota{}) {
		rows = append(rows, w.quotaKey())
	}
	return rows
}

func (w Want) quotaKey() string { return w.Key + "@" + w.Quota.Day }

func (w Want) check() error {
	switch {
	case w.Key == "" || strings.Contains(w.Key, "@"):
		return errors.New("a key is some text without @")
	case w.Units < 1 || w.Units > maxUnits:
		return fmt.Errorf("%d units are not between 1 and %d", w.Units, maxUnits)
	case w.Limit != (Limit{}) && !(w.Limit.PerSecond >= 1/slowest.Seconds() && w.Limit.PerSecond <= math.MaxInt32):
		return fmt.Errorf("%v per second is no rate", w.Limit.PerSecond)
	case w.Limit != (Limit{}) && (w.Limit.Burst < 1 || w.Limit.Burst > maxBurst):
		return fmt.Errorf("a burst of %d is not between 1 and %d", w.Limit.Burst, maxBurst)
	case w.Quota != (Quota{}) && (w.Quota.Day == "" || !w.Quota.From.Before(w.Quota.Until)):
		return errors.New("a quota needs its day")
	}
	return nil
}

func stricter(a, b Limit, both bool) Limit {
	if !both {
		return a
	}
	return Limit{PerSecond: min(a.PerSecond, b.PerSecond), Burst: min(a.Burst, b.Burst)}
}
