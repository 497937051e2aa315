package modem

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// patience is how long a write waits for a program to read: a serial line
// without flow control waits for nobody, and loses what is not read.
const patience = 200 * time.Millisecond

// port is the modem's end of the line.
type port struct {
	path   string
	near   *os.File // the modem's side
	far    *os.File // the programs' side: kept open, so that they can come and go
	notice *openings
}

// openPort makes a line in raw mode.
func openPort() (_ *port, err error) {
	blocking, far, err := pty.Open()
	if err != nil {
		return nil, fmt.Errorf("open a pseudo-terminal: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, far.Close())
		}
	}()
	near, err := pollable(blocking)
	if err != nil {
		return nil, fmt.Errorf("open a pseudo-terminal: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, near.Close())
		}
	}()
	if _, err := term.MakeRaw(int(far.Fd())); err != nil {
		return nil, fmt.Errorf("make a pseudo-terminal raw: %w", err)
	}
	notice, err := watchOpenings(far.Name())
	if err != nil {
		return nil, fmt.Errorf("watch a pseudo-terminal: %w", err)
	}
	return &port{path: far.Name(), near: near, far: far, notice: notice}, nil
}

// pollable is the same file for Go's poller, so that closing it ends a read
// and a write may have a deadline. It closes the one it was given.
func pollable(f *os.File) (*os.File, error) {
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	syscall.CloseOnExec(fd)
	if err := errors.Join(syscall.SetNonblock(fd, true), f.Close()); err != nil {
		return nil, errors.Join(err, syscall.Close(fd))
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// write sends a text; what nobody reads in time is lost.
func (p *port) write(text []byte) error {
	if err := p.near.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := p.near.Write(text); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}

// close ends the line: programs that have it open see it hang up.
func (p *port) close() error {
	return errors.Join(p.notice.close(), p.near.Close(), p.far.Close())
}

// link makes name a symbolic link to path; an older link gives way, a file
// does not.
func link(path, name string) error {
	if name == "" {
		return nil
	}
	if info, err := os.Lstat(name); err == nil && info.Mode()&os.ModeSymlink == 0 {
		return fmt.Errorf("%s is there and no link", name)
	}
	next := name + ".next" // swapped in whole: programs never find it missing
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Symlink(path, next); err != nil {
		return err
	}
	return os.Rename(next, name)
}
