package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"herald/hardware/sip/media"
)

// TestMain lets the tests' program be the far end of calls, as Herald's is.
func TestMain(m *testing.M) {
	if len(os.Args) < 3 || os.Args[1] != "bench" || os.Args[2] != "voice-far-end" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	err := VoiceFarEnd(ctx, slices.Contains(os.Args, "--echo"), os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func voiceOptions(t *testing.T) VoiceOptions {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return VoiceOptions{Program: program, Calls: 20, PerSecond: 50, Talk: 2 * time.Second}
}

func TestVoiceMeasuresCallsThatSpeakAtOnce(t *testing.T) {
	r, err := Voice(t.Context(), voiceOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	if r.Calls != 20 || r.RecordingsGood != 20 || r.PacketsLost != 0 || r.Ticker.PacketsLost != 0 || r.Packets < 20*100 {
		t.Errorf("the calls: %+v", r)
	}
	if r.ConcurrentCalls < 15 || r.ConcurrentCalls > 20 {
		t.Errorf("%d at once", r.ConcurrentCalls)
	}
	if r.CallsPerSecond <= 0 || r.SetupP50 <= 0 || r.SetupP99 < r.SetupP50 || r.CPUPerCallMinute <= 0 || r.PeakRSS <= 0 {
		t.Errorf("figures are missing: %+v", r)
	}
	for _, j := range []Jitter{r.Jitter, r.Ticker.Jitter} {
		if j.P50 <= 0 || j.P99 < j.P50 || j.Max < j.P99-0.01 {
			t.Errorf("jitter %+v", j)
		}
	}
}

func TestVoiceThatCannotBeMeasured(t *testing.T) {
	for want, change := range map[string]func(*VoiceOptions){
		"make at least one call": func(o *VoiceOptions) { o.Calls = 0 },
		"of a second or more":    func(o *VoiceOptions) { o.Talk = time.Millisecond },
		"the simulator":          func(o *VoiceOptions) { o.Program = "/nowhere" },
		"instead of its address": func(o *VoiceOptions) { o.Program = "false" },
	} {
		o := voiceOptions(t)
		change(&o)
		if _, err := Voice(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err = %v, want %q", err, want)
		}
	}
	if _, err := (farEnd{address: "127.0.0.1:1"}).heard(t.Context()); err == nil || !strings.Contains(err.Error(), "the far end") {
		t.Errorf("err = %v", err)
	}
}

func TestAnEarCountsWhatIsLate(t *testing.T) {
	e := &ear{streams: map[uint32]*stream{}}
	packet := make([]byte, rtpHeader+media.FrameSamples)
	hear := func(sequence uint16, at time.Duration) {
		binary.BigEndian.PutUint16(packet[2:], sequence)
		e.hear(packet, at)
	}
	hear(65_535, time.Second)
	hear(0, time.Second+20*time.Millisecond)
	hear(1, time.Second+43*time.Millisecond) // 3 ms late
	hear(3, time.Second+80*time.Millisecond) // one is lost: how late it is cannot be said
	hear(4, time.Second+99*time.Millisecond) // 1 ms early
	e.hear(packet[:rtpHeader], time.Hour)    // no sound
	e.hear(packet, 0)                        // when it came is not known
	if s := e.streams[0]; s.packets != 5 || s.lost() != 1 || s.sum == 0 {
		t.Errorf("%+v", s)
	}
	if j := e.jitter(); e.all != 3 || math.Abs(j.P50-1) > 0.011 || math.Abs(j.P99-3) > 0.011 || j.Max != 3 {
		t.Errorf("of %d: %+v", e.all, j)
	}
}
