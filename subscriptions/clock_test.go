package subscriptions

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

func TestTimesOfDayAreReadAsAClockShowsThem(t *testing.T) {
	for text, want := range map[string]Clock{
		"00:00": 0, "22:00": 1320, "7:30": 450, "07:30": 450, "23:59": 1439, "08:15:00": 495,
	} {
		var c Clock
		if err := c.UnmarshalText([]byte(text)); err != nil || c != want {
			t.Errorf("%q is %d, %v; want %d", text, c, err, want)
		}
	}
	for _, text := range []string{"", "22", "24:00", "22:60", "22:0", "022:00", "-1:00", "+1:00", "22:00:30", "22:00:00:00", "10 pm", "２２:００"} {
		var c Clock
		if err := c.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as %s", text, c)
		}
	}
}

func TestATimeOfDayIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Clock(rapid.IntRange(0, 1439).Draw(t, "minute"))
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var again Clock
		if err := json.Unmarshal(text, &again); err != nil || again != c {
			t.Fatalf("%s becomes %s, %v", text, again, err)
		}
	})
}

func FuzzClock(f *testing.F) {
	for _, seed := range []string{"22:00", "7:30", "08:15:00", "", ":", "99:99"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var c Clock
		if err := c.UnmarshalText([]byte(text)); err == nil && !c.known() {
			t.Errorf("%q is read as minute %d", text, int(c))
		}
	})
}
