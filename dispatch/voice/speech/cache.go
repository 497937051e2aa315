package speech

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"herald/hardware/sip/wav"
)

// cache is a folder of WAV files, each named after its key. Several programs
// may use one folder: each finds what the others put there, and counts what it
// has seen itself. When a file was used last is the time of its change.
type cache struct {
	dir  string
	most int64 // octets
	now  func() time.Time

	mu    sync.Mutex
	files map[string]keptFile // guarded by mu
	size  int64               // guarded by mu: of all files
}

type keptFile struct {
	size int64
	used time.Time
}

const (
	suffix     = ".wav"
	halfPrefix = ".new-" // begins the name of a file that is being written
	// abandoned is how old such a file is when nobody writes it any more.
	abandoned = time.Hour
)

// openCache makes the folder where there is none, and looks what is in it.
func openCache(dir string, most int64, now func() time.Time) (*cache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil { // texts are personal
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	c := &cache{dir: dir, most: most, now: now, files: map[string]keptFile{}}
	for _, entry := range entries {
		info, err := entry.Info()
		switch {
		case errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular():
			continue
		case err != nil:
			return nil, err
		case strings.HasPrefix(entry.Name(), halfPrefix):
			if now().Sub(info.ModTime()) > abandoned {
				_ = os.Remove(filepath.Join(dir, entry.Name())) // it is found again
			}
		case strings.HasSuffix(entry.Name(), suffix):
			c.files[entry.Name()] = keptFile{info.Size(), info.ModTime()}
			c.size += info.Size()
		}
	}
	return c, nil
}

// get gives what is kept under a key. What is not whole is not there.
func (c *cache) get(k key) ([]int16, bool) {
	name := k.String() + suffix
	path := filepath.Join(c.dir, name)
	file, err := os.ReadFile(path)
	if err != nil {
		c.forget(name)
		return nil, false
	}
	samples, rate, err := wav.Decode(file)
	if err != nil || rate != lineRate || int(binary.LittleEndian.Uint32(file[4:])) != len(file)-8 {
		return nil, false // it is written again
	}
	now := c.now()
	_ = os.Chtimes(path, now, now) // it is only used less than it seems
	c.note(name, keptFile{int64(len(file)), now})
	return samples, true
}

// put keeps samples under a key, all of them or none, and lets others go when
// there are too many.
func (c *cache) put(k key, samples []int16) (err error) {
	name, file := k.String()+suffix, wav.Encode(samples, lineRate)
	unfinished, err := os.CreateTemp(c.dir, halfPrefix+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(unfinished.Name()))
		}
	}()
	_, err = unfinished.Write(file)
	if err = errors.Join(err, unfinished.Close()); err != nil {
		return err
	}
	now := c.now()
	err = errors.Join(os.Chtimes(unfinished.Name(), now, now), os.Rename(unfinished.Name(), filepath.Join(c.dir, name)))
	if err != nil {
		return err
	}
	c.note(name, keptFile{int64(len(file)), now})
	return c.shrink()
}

func (c *cache) note(name string, f keptFile) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.size += f.size - c.files[name].size
	c.files[name] = f
}

func (c *cache) forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.size -= c.files[name].size
	delete(c.files, name)
}

// shrink lets those go that were not used the longest, until a tenth is free,
// so that it is not done each time.
func (c *cache) shrink() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size <= c.most {
		return nil
	}
	names := make([]string, 0, len(c.files))
	for name := range c.files {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(c.files[a].used.Compare(c.files[b].used), cmp.Compare(a, b))
	})
	var all error
	for _, name := range names {
		if c.size <= c.most-c.most/10 {
			break
		}
		if err := os.Remove(filepath.Join(c.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			all = errors.Join(all, fmt.Errorf("let speech go: %w", err))
		}
		c.size -= c.files[name].size
		delete(c.files, name)
	}
	return all
}
