package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"herald/hardware/sip"
	"herald/hardware/sip/g711"
	"herald/hardware/sip/media"
)

// VoiceOptions says how many calls Voice makes.
type VoiceOptions struct {
	Program   string        // this program: it plays the far end
	Calls     int           // at once
	PerSecond float64       // how many are dialled in a second
	Talk      time.Duration // what each says
}

// VoiceResult is how many calls were made, and how evenly they spoke.
type VoiceResult struct {
	// CallsPerSecond is how many are dialled, answered and hung up when
	// nothing holds them back.
	CallsPerSecond float64 `json:"calls_per_second"`
	// ConcurrentCalls is how many spoke at once, at most.
	ConcurrentCalls int `json:"concurrent_calls"`
	// Jitter is of what left here, as the far end's kernel got it.
	Jitter
	// SetupP50 and SetupP99 are from the dialling to the answer.
	SetupP50 float64 `json:"setup_p50_ms"`
	SetupP99 float64 `json:"setup_p99_ms"`
	// CPUPerCallMinute is what a minute of a call takes of a processor:
	// dialling it, encoding and sending, and hearing as much as is said.
	CPUPerCallMinute float64 `json:"cpu_seconds_per_call_minute"`
	Calls            int     `json:"calls"`
	// RecordingsGood is how many of them the far end heard whole: every
	// octet, in order.
	RecordingsGood   int     `json:"recordings_good"`
	Packets          int     `json:"packets"`
	PacketsLost      int     `json:"packets_lost"`
	CPUSeconds       float64 `json:"cpu_seconds"` // of the calls here
	FarEndCPUSeconds float64 `json:"far_end_cpu_seconds"`
	PeakRSS          int64   `json:"peak_rss_bytes"`
	// Ticker is the baseline: as many senders of one prebuilt packet, each
	// with a ticker of its own, that dial nobody and hear nothing.
	Ticker TickerResult `json:"ticker"`
}

// TickerResult is how evenly the baseline spoke.
type TickerResult struct {
	Jitter
	CPUPerCallMinute float64 `json:"cpu_seconds_per_call_minute"`
	PacketsLost      int     `json:"packets_lost"`
}

// Voice makes calls by SIP to a far end in a process of its own, and says how
// evenly their sound comes, and what it took.
func Voice(ctx context.Context, o VoiceOptions) (result VoiceResult, err error) {
	if o.Calls < 1 || o.Talk < time.Second || o.PerSecond <= 0 {
		return VoiceResult{}, errors.New("make at least one call a second, of a second or more")
	}
	result.Calls = o.Calls
	for _, phase := range []struct {
		echo bool
		run  func(context.Context, VoiceOptions, farEnd) error
	}{{false, result.dial}, {true, result.speak}, {false, result.tick}} {
		if err := withVoiceFarEnd(ctx, o, phase.echo, phase.run); err != nil {
			return VoiceResult{}, err
		}
	}
	return result, nil
}

// withVoiceFarEnd runs something with a far end of its own.
func withVoiceFarEnd(ctx context.Context, o VoiceOptions, echo bool, run func(context.Context, VoiceOptions, farEnd) error) (err error) {
	args := []string{"bench", "voice-far-end"}
	if echo {
		args = append(args, "--echo")
	}
	far, err := startFarEnd(ctx, "figures at ", o.Program, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, far.stop()) }()
	return run(ctx, o, far)
}

// heard asks a far end what it has heard.
func (f farEnd) heard(ctx context.Context) (heard voiceHeard, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+f.address, nil)
	if err != nil {
		return voiceHeard{}, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return voiceHeard{}, fmt.Errorf("the far end: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // it is read
	return heard, json.NewDecoder(res.Body).Decode(&heard)
}

// openTrunk is a line to a far end, with the one wheel of all its calls.
func openTrunk(ctx context.Context, server string) (*sip.Trunk, error) {
	return sip.Open(ctx, sip.Config{Server: server, From: "bench", Local: "127.0.0.1", AskEvery: -1, Laws: []g711.Law{g711.Mu}})
}

// dial measures how many calls are set up and ended in a second.
func (r *VoiceResult) dial(ctx context.Context, o VoiceOptions, far farEnd) (err error) {
	heard, err := far.heard(ctx)
	if err != nil {
		return err
	}
	trunk, err := openTrunk(ctx, heard.SIP)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, trunk.Close()) }()
	const callers = 32
	var left atomic.Int64
	left.Store(int64(2 * o.Calls))
	began := time.Now()
	all, ctx := errgroup.WithContext(ctx)
	for range callers {
		all.Go(func() error {
			for left.Add(-1) >= 0 {
				call, err := trunk.Call(ctx, "100", sip.CallOptions{})
				if err != nil {
					return err
				}
				if err := call.Hangup(ctx); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	r.CallsPerSecond = float64(2*o.Calls) / time.Since(began).Seconds()
	return nil
}

// speak makes the calls, each of which says the same.
func (r *VoiceResult) speak(ctx context.Context, o VoiceOptions, far farEnd) (err error) {
	heard, err := far.heard(ctx)
	if err != nil {
		return err
	}
	trunk, err := openTrunk(ctx, heard.SIP)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, trunk.Close()) }()
	said := saying(o.Talk)
	usage := beginUsage(far.pid())
	talk, err := r.makeCalls(ctx, trunk, o, said)
	if err != nil {
		return fmt.Errorf("speak: %w", err)
	}
	used, err := usage.end()
	if err != nil {
		return err
	}
	r.CPUSeconds, r.FarEndCPUSeconds, r.PeakRSS = used.own, used.farEnd, used.peak
	r.CPUPerCallMinute = used.own / talk.Minutes()
	if heard, err = far.heard(ctx); err != nil {
		return err
	}
	r.Jitter = heard.Jitter
	want := crc32.ChecksumIEEE(g711.Mu.Encode(said))
	for _, s := range heard.Streams {
		r.Packets += s.Packets
		r.PacketsLost += s.Lost
		if s.Lost == 0 && s.Sum == want {
			r.RecordingsGood++
		}
	}
	return nil
}

// makeCalls makes the calls and gives how long they were spoken, together.
func (r *VoiceResult) makeCalls(ctx context.Context, trunk *sip.Trunk, o VoiceOptions, said []int16) (time.Duration, error) {
	var mu sync.Mutex
	var talk time.Duration
	var setups []time.Duration
	speaking := 0
	all, ctx := errgroup.WithContext(ctx)
	pace := time.NewTicker(time.Duration(float64(time.Second) / o.PerSecond))
	defer pace.Stop()
	for range o.Calls {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return 0, all.Wait()
		}
		all.Go(func() error {
			dialled := time.Now()
			call, err := trunk.Call(ctx, "100", sip.CallOptions{})
			if err != nil {
				return err
			}
			answered := time.Now()
			mu.Lock()
			setups = append(setups, answered.Sub(dialled))
			speaking++
			r.ConcurrentCalls = max(r.ConcurrentCalls, speaking)
			mu.Unlock()
			_, err = call.Play(ctx, said)
			mu.Lock()
			speaking--
			talk += time.Since(answered)
			mu.Unlock()
			return errors.Join(err, call.Hangup(ctx))
		})
	}
	err := all.Wait()
	slices.Sort(setups)
	if len(setups) > 0 {
		r.SetupP50, r.SetupP99 = milliseconds(setups[len(setups)/2]), milliseconds(setups[len(setups)*99/100])
	}
	return talk, err
}

// saying is sound without a silent frame: a tone that swells and fades.
func saying(lasts time.Duration) []int16 {
	frames := int(lasts / media.FrameTime)
	samples := make([]int16, frames*media.FrameSamples)
	for i := range samples {
		at := float64(i) / g711.Rate
		samples[i] = int16((6000 + 4000*math.Sin(2*math.Pi*3*at)) * math.Sin(2*math.Pi*440*at))
	}
	return samples
}

// tick measures the baseline.
func (r *VoiceResult) tick(ctx context.Context, o VoiceOptions, far farEnd) error {
	heard, err := far.heard(ctx)
	if err != nil {
		return err
	}
	usage := beginUsage(far.pid())
	talk, err := tickAll(ctx, heard.Sound, o)
	if err != nil {
		return fmt.Errorf("the baseline: %w", err)
	}
	used, err := usage.end()
	if err != nil {
		return err
	}
	if heard, err = far.heard(ctx); err != nil {
		return err
	}
	r.Ticker = TickerResult{Jitter: heard.Jitter, CPUPerCallMinute: used.own / cmp.Or(talk.Minutes(), 1)}
	for _, s := range heard.Streams {
		r.Ticker.PacketsLost += s.Lost
	}
	return nil
}
