package postgres

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// Scratch is a folder with what belongs to this process alone, private servers
// among it, that is gone when the process is, however that ends: another
// process outlives it for a moment, stops the servers and removes the folder.
type Scratch struct {
	Dir  string
	cmd  *exec.Cmd
	held *os.File // the end of a pipe that the other reads; the kernel closes it with our process
}

// scratchScript waits for the end of its input, then stops the servers that
// run in the folder $1, or in one of its own, and removes it.
const scratchScript = `read -r _
for file in "$1/data/postmaster.pid" "$1"/*/data/postmaster.pid; do
	if read -r pid 2>/dev/null <"$file"; then
		kill -QUIT "$pid"
		while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
	fi
done
rm -rf -- "$1"`

// NewScratch makes such a folder in another; empty: the usual one for what is
// temporary. The user of a private server that root starts can pass through it.
func NewScratch(in string) (*Scratch, error) {
	dir, err := os.MkdirTemp(in, "herald-scratch-")
	if err != nil {
		return nil, err
	}
	s := &Scratch{Dir: dir, cmd: exec.Command("/bin/sh", "-c", scratchScript, "scratch", dir)}
	if err = os.Chmod(dir, 0o711); err == nil { //nolint:gosec // passable, not readable
		err = s.guard()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the temporary folder %s: %w", dir, err), os.Remove(dir))
	}
	return s, nil
}

func (s *Scratch) guard() error {
	input, held, err := os.Pipe()
	if err != nil {
		return err
	}
	defer input.Close()
	s.held = held
	s.cmd.Stdin, s.cmd.Stderr = input, os.Stderr           // whoever reads our errors waits for it too
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // the terminal's Ctrl-C is not for it
	if err := s.cmd.Start(); err != nil {
		return errors.Join(err, held.Close())
	}
	return nil
}

// Remove stops what still runs there and removes the folder.
func (s *Scratch) Remove() error {
	return errors.Join(s.held.Close(), s.cmd.Wait())
}
