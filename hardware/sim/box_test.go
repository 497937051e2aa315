package sim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

type note struct {
	id   int64
	text string
}

func newNotes(keep int) *Box[note] {
	return NewBox(keep, func(n *note, id int64) { n.id = id })
}

func TestBoxKeepsTheNewestAndCountsAll(t *testing.T) {
	b := newNotes(3)
	for i := range 20 {
		if id := b.Add(note{text: fmt.Sprint(i)}); id != int64(i+1) {
			t.Errorf("note %d has the id %d", i, id)
		}
	}
	kept := b.All()
	if len(kept) != 3 || kept[0].text != "17" || kept[2].id != 20 || b.Count() != 20 {
		t.Errorf("kept are %+v of %d", kept, b.Count())
	}
	b.Add(note{text: "later"})
	if kept[0].text != "17" || len(kept) != 3 {
		t.Errorf("what was handed out became %+v", kept)
	}
	b.Clear()
	if len(b.All()) != 0 || b.Count() != 0 || b.Add(note{}) != 22 {
		t.Error("it is not empty, or begins again")
	}
}

func TestBoxFindsByID(t *testing.T) {
	b := newNotes(3)
	if _, found := b.Find(0); found || len(b.After(0)) != 0 {
		t.Error("an empty box has something")
	}
	for range 5 {
		b.Add(note{})
	}
	for id, want := range map[int64]bool{math.MinInt64: false, 0: false, 2: false, 3: true, 5: true, 6: false, math.MaxInt64: false} {
		if n, found := b.Find(id); found != want || found && n.id != id {
			t.Errorf("%d finds %+v, %v", id, n, found)
		}
	}
	for id, want := range map[int64]int{math.MinInt64: 3, 2: 3, 3: 2, 5: 0, math.MaxInt64: 0} {
		if n := len(b.After(id)); n != want {
			t.Errorf("behind %d are %d, want %d", id, n, want)
		}
	}
}

func TestWaitingEndsWithTheArrivalOrTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newNotes(10)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() {
			time.Sleep(time.Second)
			b.Add(note{text: "one"})
			time.Sleep(time.Second)
			b.Add(note{text: "two"})
		}()
		began := time.Now()
		if err := b.WaitFor(ctx, func(_ []note, total int64) bool { return total == 2 }); err != nil || time.Since(began) != 2*time.Second {
			t.Errorf("it waited %v: %v", time.Since(began), err)
		}
		if err := b.WaitFor(ctx, func([]note, int64) bool { return false }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it gives %v", err)
		}
	})
}
