package wire

import (
	"testing"
	"time"
)

func TestValidity(t *testing.T) {
	now := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	for after, want := range map[time.Duration]string{time.Hour: "260506160809032+", 48 * time.Hour: "260508150809032+", 49 * time.Hour: ""} {
		if got := Validity(Until(now.Add(after), now)); got != want {
			t.Errorf("%v ahead is %q, want %q", after, got, want)
		}
	}
	if got := Validity(Until(time.Time{}, now)); got != "" {
		t.Errorf("without end it is %q", got)
	}
}

func TestNumbers(t *testing.T) {
	for number, want := range map[string]string{"13800138000": "+8613800138000", "8613800138000": "+8613800138000", "+8613800138000": "+8613800138000", "0085291234567": "+85291234567"} {
		if got := Address(number); got != want {
			t.Errorf("%s is %s, want %s", number, got, want)
		}
	}
	for address, want := range map[string]string{"+8613800138000": "13800138000", "+15550100": "", "+86": "", "+86138001380x0": "", "8613800138000": "", "+861234567890123456789": ""} {
		if got, ok := National(address); ok != (want != "") || ok && got != want {
			t.Errorf("%s is %s, %v", address, got, ok)
		}
	}
}
