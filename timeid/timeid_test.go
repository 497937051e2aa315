package timeid

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

func TestIDsOrderByTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := time.Unix(1_800_000_000, rapid.Int64Range(0, int64(time.Second)).Draw(t, "base"))
		first, second := New(base), New(base.Add(time.Duration(rapid.Int64Range(250, int64(time.Hour)).Draw(t, "later"))))
		if bytes.Compare(first[:], second[:]) >= 0 {
			t.Fatalf("%s does not come before %s", first, second)
		}
		floor := Floor(base)
		if bytes.Compare(floor[:], first[:]) >= 0 || base.Sub(instant(floor)) >= time.Millisecond {
			t.Fatalf("%s is not the floor of %s", floor, first)
		}
		for _, id := range []uuid.UUID{first, floor} {
			if id.Version() != 7 || id.Variant() != uuid.RFC4122 {
				t.Fatalf("%s is not of version 7", id)
			}
		}
	})
}

func instant(id uuid.UUID) time.Time {
	sec, nsec := id.Time().UnixTime()
	return time.Unix(sec, nsec)
}

func TestWhatIsBeforeAllTimeHasTheLowestID(t *testing.T) {
	if got, want := Floor(time.Time{}).String(), "00000000-0000-7000-8000-000000000000"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
