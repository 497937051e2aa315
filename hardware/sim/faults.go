package sim

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"herald/problem"
)

// Faults are those in force, each an F; the first that fits is taken. They are
// safe for many goroutines.
type Faults[F any] struct {
	complete func(f *F, mistakes *problem.Fields, at string)
	times    func(f *F) *int

	mu   sync.Mutex
	list []F // guarded by mu
}

// NewFaults has no faults yet. complete fills in what was left out of one and
// notes what is wrong, by its place, such as "faults[0]"; times is where a
// fault has how often it happens, 0 for always.
func NewFaults[F any](complete func(f *F, mistakes *problem.Fields, at string), times func(f *F) *int) *Faults[F] {
	return &Faults[F]{complete: complete, times: times}
}

// Set replaces the faults; it fails with problem.Invalid and changes nothing
// when one of them is not complete.
func (f *Faults[F]) Set(list ...F) error {
	list = slices.Clone(list)
	var mistakes problem.Fields
	for i := range list {
		at := fmt.Sprintf("faults[%d]", i)
		f.complete(&list[i], &mistakes, at)
		if *f.times(&list[i]) < 0 {
			mistakes.Add(at+".times", "min", "use 0 for always, or how often")
		}
	}
	if err := mistakes.Err("the faults are not complete"); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = list
	return nil
}

// All are those in force, with what is left of their times.
func (f *Faults[F]) All() []F {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]F{}, f.list...)
}

// Take uses up one time of the first fault that fits. What fits changes of a
// fault stays changed.
func (f *Faults[F]) Take(fits func(f *F) bool) (F, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.list {
		fault := &f.list[i]
		if !fits(fault) {
			continue
		}
		taken := *fault
		switch times := f.times(fault); *times {
		case 0: // always
		case 1:
			f.list = slices.Delete(f.list, i, i+1)
		default:
			*times--
		}
		return taken, true
	}
	var none F
	return none, false
}

// Fits reports whether a name is one that a fault concerns: pattern has * and
// ? as wildcards, and no pattern is all names. Case does not matter; nor does
// "/", which is hidden from path.Match, whose * stops at it.
func Fits(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	hide := strings.NewReplacer("/", "\x00")
	matched, err := path.Match(hide.Replace(strings.ToLower(pattern)), hide.Replace(strings.ToLower(name)))
	return err == nil && matched
}

// IsPattern reports whether Fits can read it.
func IsPattern(pattern string) bool {
	_, err := path.Match(pattern, "")
	return err == nil
}
