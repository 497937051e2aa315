package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// farEnd is a simulator that runs as a process of its own, so that what it
// takes of the machine is not counted as Herald's. The zero farEnd is none.
type farEnd struct {
	address string
	command *exec.Cmd
}

// startFarEnd runs a program until stop. The first line it prints must begin
// with greeting and then its address.
func startFarEnd(ctx context.Context, greeting, program string, args ...string) (_ farEnd, err error) {
	f := farEnd{command: exec.CommandContext(ctx, program, args...)}
	f.command.Cancel = func() error { return f.command.Process.Signal(syscall.SIGTERM) }
	f.command.WaitDelay = 5 * time.Second
	said, err := f.command.StdoutPipe()
	if err != nil {
		return farEnd{}, err
	}
	if err := f.command.Start(); err != nil {
		return farEnd{}, fmt.Errorf("the simulator: %w", err)
	}
	line, err := bufio.NewReader(said).ReadString('\n')
	rest, found := strings.CutPrefix(line, greeting)
	if err != nil || !found {
		return farEnd{}, errors.Join(fmt.Errorf("the simulator said %q instead of its address", line), err, f.stop())
	}
	f.address = rest[:strings.IndexAny(rest, ", \n")]
	return f, nil
}

// pid is the process's; 0: there is none.
func (f farEnd) pid() int {
	if f.command == nil {
		return 0
	}
	return f.command.Process.Pid
}

// stop ends the process, which is then gone. How it ends says nothing.
func (f farEnd) stop() error {
	if err := f.command.Cancel(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	var ended *exec.ExitError
	if err := f.command.Wait(); !errors.As(err, &ended) {
		return err
	}
	return nil
}
