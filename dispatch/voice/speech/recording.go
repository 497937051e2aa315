package speech

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"herald/problem"
)

// Play gives the sound of a recording: a WAV file of the sounds' folder, of one
// channel, 16 bits and any rate, such as "chime.wav". The samples may be
// shared: read them only.
//
// It fails with problem.NotFound when there is none of that name, and with
// problem.Invalid when it cannot be played.
func (s *Speaker) Play(ctx context.Context, name string) ([]int16, error) {
	file, err := s.recording(name)
	if err != nil {
		return nil, err
	}
	return s.once(ctx, newKey("recording", string(file)), func(context.Context) ([]int16, error) {
		samples, err := s.prepared(file)
		if err != nil {
			return nil, unplayable(name, err)
		}
		return samples, nil
	})
}

// recording reads a file, which may lie nowhere but in the folder.
func (s *Speaker) recording(name string) (file []byte, err error) {
	missing := problem.New(problem.NotFound, "there is no recording %q among the sounds", name)
	if s.sounds == "" || name != filepath.Base(name) || !strings.HasSuffix(name, suffix) || strings.HasPrefix(name, ".") {
		return nil, missing
	}
	folder, err := os.OpenRoot(s.sounds)
	if err != nil {
		return nil, fmt.Errorf("speech: %w", err)
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	// A link may not lead out of the folder: then it is not there, either.
	info, err := folder.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			missing.Err = err
		}
		return nil, missing
	}
	opened, err := folder.Open(name)
	if err != nil {
		return nil, fmt.Errorf("speech: %w", err)
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	if file, err = io.ReadAll(io.LimitReader(opened, int64(s.engine.most)+1)); err != nil {
		return nil, fmt.Errorf("speech: %w", err)
	}
	if len(file) > s.engine.most {
		return nil, unplayable(name, fmt.Errorf("it has more than %d octets", s.engine.most))
	}
	return file, nil
}

func unplayable(name string, err error) error {
	p := problem.New(problem.Invalid, "the recording %q cannot be played: %v", name, err)
	p.Err = err
	return p
}
