package speech

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"herald/problem"
)

const (
	espeak = "espeak-ng"
	markup = "-m" // has it read markup
)

// engine is the program that speaks.
type engine struct {
	command []string
	timeout time.Duration
	most    int           // octets of a file
	running chan struct{} // has an element for each that runs
}

func newEngine(cfg Config) engine {
	command := append([]string(nil), cfg.Command...)
	for i := range command {
		command[i] = strings.ReplaceAll(command[i], "{speed}", strconv.Itoa(cfg.Speed))
	}
	// The file may have six times as many samples as a telephone wants.
	const mostRate, sampleSize, header = 48_000, 2, 1 << 10
	return engine{
		command: command, timeout: cfg.Timeout, running: make(chan struct{}, cfg.Programs),
		most: int(cfg.Longest/time.Second+1)*mostRate*sampleSize + header,
	}
}

func (e engine) program() string { return filepath.Base(e.command[0]) }

// readsMarkup reports whether espeak-ng was told that its texts have markup.
func (e engine) readsMarkup() bool { return slices.Contains(e.command, markup) }

// key names a text as this engine speaks it.
func (e engine) key(voice, text string) key {
	return newKey("speech", strings.Join(e.command, "\x00"), voice, text)
}

// errMissing is what is wrapped when the program is not there.
var errMissing = errors.New("the program that speaks is missing")

// speak gives the file that the program makes of a text.
func (e engine) speak(ctx context.Context, voice, text string) (file []byte, err error) {
	select {
	case e.running <- struct{}{}:
		defer func() { <-e.running }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	limited, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	args := make([]string, len(e.command)-1)
	for i := range args {
		args[i] = strings.ReplaceAll(e.command[i+1], "{voice}", voice)
	}
	said, complained := &limitedBuffer{most: e.most, full: cancel}, &limitedBuffer{most: 4 << 10}
	cmd := exec.CommandContext(limited, e.command[0], args...) //nolint:gosec // the operator's own program
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(text), said, complained
	cmd.Env = environment()
	// It may have started others, as a script does: they end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	switch {
	case err == nil && !said.over:
		return said.kept.Bytes(), nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return nil, e.missing(err)
	case said.over:
		return nil, fmt.Errorf("%s: it gave more than %d octets", e.program(), e.most)
	case limited.Err() != nil:
		return nil, fmt.Errorf("%s: it took longer than %s", e.program(), e.timeout)
	}
	return nil, fmt.Errorf("%s: %w%s", e.program(), err, complaint(complained.kept.String(), text))
}

// missing says what to install.
func (e engine) missing(err error) error {
	todo := "install it, or name another one in the speech's command"
	if e.program() == espeak {
		todo = "install the package " + espeak + " (apt install " + espeak + ")"
	}
	p := problem.New(problem.Unavailable, "the program %s, which speaks in calls, is not there: %s", e.program(), todo)
	p.Err = fmt.Errorf("%w: %w", errMissing, err)
	return p
}

// environment is what the program is told of ours: where programs and its own
// files are, and nothing that is secret.
func environment() []string {
	env := []string{"LANG=C.UTF-8"}
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		if value, set := os.LookupEnv(name); set {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// limitedBuffer keeps what is written to it, up to a limit.
type limitedBuffer struct {
	kept bytes.Buffer // not embedded: it would read from the program without asking Write
	most int
	full func() // called when there is more; nil: the rest is let go
	over bool
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.kept.Len()+len(p) <= b.most {
		return b.kept.Write(p)
	}
	b.over = true
	b.kept.Write(p[:b.most-b.kept.Len()])
	if b.full != nil {
		b.full()
	}
	return len(p), nil
}

// complaint is the last line of what a program said of its failure, in short,
// and without what it repeats of the text: that is not for a log.
func complaint(said, text string) string {
	lines := strings.Split(strings.TrimSpace(strings.ToValidUTF8(said, "?")), "\n")
	line := strings.TrimSpace(lines[len(lines)-1])
	const longest = 200
	if len(line) > longest {
		line = strings.ToValidUTF8(line[:longest], "") + "…"
	}
	if line == "" {
		return ""
	}
	return ": " + without(line, text)
}

// without puts an ellipsis in a line where it has pieces of a text of four
// octets or more: four letters, or two Chinese characters.
func without(line, text string) string {
	const least = 4
	small, text := strings.ToLower(line), strings.ToLower(text)
	if len(small) != len(line) {
		line = small // of a letter that has another length when it is small
	}
	secret := make([]bool, len(line))
	for from := range line {
		to := from
		for to < len(line) && to-from < least {
			_, size := utf8.DecodeRuneInString(line[to:])
			to += size
		}
		if to-from >= least && strings.Contains(text, small[from:to]) {
			for i := from; i < to; i++ {
				secret[i] = true
			}
		}
	}
	var kept strings.Builder
	for i := range len(line) {
		switch {
		case !secret[i]:
			kept.WriteByte(line[i])
		case i == 0 || !secret[i-1]:
			kept.WriteString("…")
		}
	}
	return kept.String()
}
