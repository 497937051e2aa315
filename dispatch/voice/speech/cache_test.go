package speech

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"herald/hardware/sip/wav"
)

// clock is a time that goes on by a second each time it is asked.
type clock struct{ at time.Time }

func (c *clock) now() time.Time {
	c.at = c.at.Add(time.Second)
	return c.at
}

func newClock() *clock { return &clock{time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)} }

func TestWhatWasNotAskedForTheLongestGoes(t *testing.T) {
	const each = 44 + 2*lineRate
	dir, c := t.TempDir(), newClock()
	k, err := openCache(dir, 4*each, c.now)
	if err != nil {
		t.Fatal(err)
	}
	keys := make([]key, 6)
	for i := range keys {
		keys[i] = newKey(string(rune('a' + i)))
		if i == 4 { // the first is asked for before one too many comes
			if _, found := k.get(keys[0]); !found {
				t.Fatal("the first is gone")
			}
			if k, err = openCache(dir, 4*each, c.now); err != nil { // which is known after a start, too
				t.Fatal(err)
			}
		}
		if err := k.put(keys[i], make([]int16, lineRate)); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []bool{true, false, false, true, true, true} {
		if _, found := k.get(keys[i]); found != want {
			t.Errorf("%d is there: %t, want %t", i, found, want)
		}
	}
}

func TestWhatIsNotWholeIsNotThere(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	old, young := filepath.Join(dir, halfPrefix+"1"), filepath.Join(dir, halfPrefix+"2")
	write(t, old, nil)
	write(t, young, nil)
	if err := os.Chtimes(old, c.at.Add(-2*time.Hour), c.at.Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	k, err := openCache(dir, 1<<20, c.now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("a file that nobody writes any more stays")
	}
	if _, err := os.Stat(young); err != nil {
		t.Error(err)
	}
	whole := wav.Encode(make([]int16, lineRate), lineRate)
	for rule, file := range map[string][]byte{"cut": whole[:1000], "empty": {}, "of another rate": wav.Encode(make([]int16, 100), 2*lineRate)} {
		name := newKey(rule)
		write(t, filepath.Join(dir, name.String()+suffix), file)
		if _, found := k.get(name); found {
			t.Error(rule)
		}
	}
}

// However it is used, it never has more than it may, but for the last one.
func TestTheCacheStaysWithinItsSize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "speech")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir) //nolint:errcheck // of a test
		const most = 20_000
		k, err := openCache(dir, most, newClock().now)
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 12).Draw(t, "turns") {
			name := newKey(rapid.StringMatching(`[a-e]`).Draw(t, "text"))
			if rapid.Bool().Draw(t, "ask") {
				k.get(name)
				continue
			}
			if err := k.put(name, make([]int16, rapid.IntRange(0, 4000).Draw(t, "samples"))); err != nil {
				t.Fatal(err)
			}
			var size int64
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range entries {
				info, err := entry.Info()
				if err != nil {
					t.Fatal(err)
				}
				size += info.Size()
			}
			if size > most || size != k.size {
				t.Fatalf("%d octets, counted as %d", size, k.size)
			}
		}
	})
}
