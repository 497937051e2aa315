package follower

import (
	"encoding/binary"
	"math"
	"testing"
	"time"
)

func TestInstantReadsPostgreSQLsTimestamps(t *testing.T) {
	for _, c := range []struct {
		micros int64
		want   time.Time
	}{
		{0, time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)},
		{-1, time.Date(1999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)},
		{math.MaxInt64, time.Time{}}, // infinity: no end
		{math.MinInt64, time.Time{}},
	} {
		got, err := instant(binary.BigEndian.AppendUint64(nil, uint64(c.micros)))
		if err != nil || !got.Equal(c.want) {
			t.Errorf("instant(%d) = %v, %v; want %v", c.micros, got, err, c.want)
		}
	}
	if got, err := instant(nil); err != nil || !got.IsZero() {
		t.Errorf("instant(null) = %v, %v", got, err)
	}
}

func FuzzAColumnIsReadOrRefused(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte{0, 0, 0, 0})
	f.Add(binary.BigEndian.AppendUint64(nil, math.Float64bits(1.5)))
	f.Fuzz(func(t *testing.T, b []byte) {
		fits := len(b) == 0 || len(b) == 8
		if _, err := number(b); (err == nil) != fits {
			t.Errorf("a number of %d bytes: %v", len(b), err)
		}
		if _, err := instant(b); (err == nil) != fits {
			t.Errorf("an instant of %d bytes: %v", len(b), err)
		}
		if _, err := rowID([][]byte{b, b}); err == nil {
			t.Error("a row of two columns is taken")
		}
	})
}
