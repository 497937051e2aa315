package app

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestRiversDailyWorkIsNotLogged(t *testing.T) {
	for level, want := range map[slog.Level]string{slog.LevelDebug: "counts trouble", slog.LevelInfo: "trouble", slog.LevelError: ""} {
		var out bytes.Buffer
		handler := slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level})
		log := slog.New(atLeastWarn{handler}).With("client_id", "n1").WithGroup("job")
		log.Info("counts")
		log.Warn("trouble")
		var said []string
		for _, word := range []string{"counts", "trouble"} {
			if strings.Contains(out.String(), "msg="+word) {
				said = append(said, word)
			}
		}
		if got := strings.Join(said, " "); got != want {
			t.Errorf("at %v: %q, want %q", level, got, want)
		}
	}
}
