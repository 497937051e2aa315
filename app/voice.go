package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"herald/app/config"
	"herald/dispatch/fax/pages"
	"herald/dispatch/voice"
	"herald/dispatch/voice/speech"
	"herald/problem"
)

// speechConfig is what the configuration says of who speaks in calls.
func speechConfig(cfg config.Config, log *slog.Logger) speech.Config {
	s := cfg.Voice.Speech
	return speech.Config{
		Command: s.Command, Voices: s.Voices, Speed: s.Speed, Timeout: s.Timeout, Sounds: s.Sounds,
		Cache: filepath.Join(cfg.DataDir, "speech"), CacheSize: int64(s.CacheSize) << 20, Logger: log,
	}
}

// calls reports whether this node calls people.
func calls(cfg config.Config) bool { return cfg.Has("dispatch") && len(cfg.Voice.Trunks) > 0 }

// faxes reports whether this node sends faxes.
func faxes(cfg config.Config) bool { return cfg.Has("dispatch") && len(cfg.Fax.Servers) > 0 }

// openDevices adds to k what the configured calls and faxes are made with: who
// speaks, and the font.
func (k *keeps) openDevices(cfg config.Config) error {
	if calls(cfg) {
		speaker, err := speech.New(speechConfig(cfg, k.log))
		if err != nil {
			return inSection("voice.speech", err)
		}
		k.speaker = speaker
	}
	if faxes(cfg) {
		var err error
		if k.font, err = pages.OpenFont(cfg.Fax.Font); err != nil {
			return fmt.Errorf("fax.font: %w", err)
		}
	}
	return nil
}

// inSection puts a section's path before the fields of an error.
func inSection(path string, err error) error {
	var said *problem.Error
	if !errors.As(err, &said) || len(said.Fields) == 0 {
		return fmt.Errorf("%s: %w", path, err)
	}
	var f problem.Fields
	for _, one := range said.Fields {
		one.Path = path + "." + one.Path
		f = append(f, one)
	}
	return f.Err(said.Message)
}

// silent stands for who speaks where nobody is called.
type silent struct{}

func (silent) Speak(context.Context, string, string) ([]int16, error) { return nil, errSilent }

func (silent) SpeakPrivately(context.Context, string, string) ([]int16, error) { return nil, errSilent }

func (silent) Play(context.Context, string) ([]int16, error) { return nil, errSilent }

var errSilent = errors.New("nobody speaks here")

// checkDevices finds what openDevices would.
func checkDevices(cfg config.Config, k *keeps) problem.Fields {
	var f problem.Fields
	note := func(err error) {
		var said *problem.Error
		if errors.As(err, &said) {
			f = append(f, said.Fields...)
		}
	}
	if calls(cfg) {
		note(inSection("voice.speech", speechConfig(cfg, k.log).Check()))
		k.speaker = silent{}
	}
	if faxes(cfg) {
		var err error
		if k.font, err = pages.OpenFont(cfg.Fax.Font); err != nil {
			f.Add("fax.font", "font", "%v", err)
		}
	}
	return f
}

// trunks tells how the trunks of this node stand.
type trunks []*voice.Sender

var (
	trunkUp    = prometheus.NewDesc("herald_voice_trunk_up", "Whether the provider of a trunk answers, and knows where we are where he should: 1, or 0. A trunk nobody called by yet is 0.", []string{"account"}, nil)
	trunkCalls = prometheus.NewDesc("herald_voice_calls", "Calls under way on a trunk, on this node.", []string{"account"}, nil)
)

// Describe implements prometheus.Collector.
func (t trunks) Describe(ch chan<- *prometheus.Desc) { ch <- trunkUp; ch <- trunkCalls }

// Collect implements prometheus.Collector.
func (t trunks) Collect(ch chan<- prometheus.Metric) {
	for _, trunk := range t {
		up := 0.0
		if trunk.Up() {
			up = 1
		}
		ch <- prometheus.MustNewConstMetric(trunkUp, prometheus.GaugeValue, up, trunk.Account())
		ch <- prometheus.MustNewConstMetric(trunkCalls, prometheus.GaugeValue, float64(trunk.Health().Calls), trunk.Account())
	}
}

// sweepEvery is how often recordings and pages are looked for whose time is
// over.
const sweepEvery = time.Hour

// sweep forgets recordings of calls and pages of faxes until ctx ends. What
// another node removes just now is passed over.
func (a *App) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		_, recordings := a.Calls.Sweep(ctx)
		_, documents := a.Faxes.Sweep(ctx, a.cfg.Fax.Keep)
		if err := errors.Join(recordings, documents); err != nil && ctx.Err() == nil {
			a.log.WarnContext(ctx, "old recordings or faxes could not be forgotten", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
