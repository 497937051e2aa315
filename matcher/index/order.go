package index

import (
	"fmt"
	"math"

	"herald/matcher/predicate"
)

// anchor is one key that a subscription waits on: it is met by the values at
// which from <= place && place <= to.
type anchor struct {
	hash     uint64 // of the key
	from, to int64
}

// comparison puts bounds and values on the line of int64 so that, whatever the
// bound is, the values that meet it are those from a place on (of Between, up
// to another), the first and last included. So all lists are sorted one way,
// and what a value meets is a list's beginning.
type comparison struct {
	bound   predicate.Bound
	columns int // the words that an entry takes: its id, and what it is met from and to where the bound has these
	always  bool
	turned  int64 // -1 where the line runs from high to low, else 0
}

func comparisonOf(bound predicate.Bound) comparison {
	c := comparison{bound: bound, columns: 2}
	switch bound {
	case predicate.NoBound:
		c.columns, c.always = 1, true
	case predicate.Between:
		c.columns = 3
	case predicate.AtMost, predicate.Below:
		c.turned = -1
	}
	return c
}

// interval is where on the line a key is met.
func (c comparison) interval(k predicate.Key) (from, to int64, err error) {
	if math.IsNaN(k.Bound) || math.IsInf(k.Bound, 0) || math.IsNaN(k.Upper) || math.IsInf(k.Upper, 0) {
		return 0, 0, fmt.Errorf("not a bound: %v, %v", k.Bound, k.Upper)
	}
	bound := ordered(k.Bound)
	switch c.bound {
	case predicate.AtLeast:
		return bound, math.MaxInt64, nil
	case predicate.Above:
		return bound + 1, math.MaxInt64, nil
	case predicate.AtMost:
		return ^bound, math.MaxInt64, nil
	case predicate.Below:
		return ^bound + 1, math.MaxInt64, nil
	case predicate.Between:
		return bound, ordered(k.Upper), nil
	}
	return math.MinInt64, math.MaxInt64, nil
}

// place is where on the line a value stands; ok is false for NaN, which meets
// no bound.
func (c comparison) place(value float64) (place int64, ok bool) {
	return ordered(value) ^ c.turned, value == value || c.always
}

// ordered keeps the order of numbers, and makes one of 0 and -0. Between two
// results there is room for no other number; the least and the greatest
// int64 are no number's.
func ordered(value float64) int64 {
	b := int64(math.Float64bits(value + 0))
	return b ^ b>>63&math.MaxInt64
}
