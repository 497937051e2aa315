package server

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// tryLock takes the owner's lock, which lasts until the file is closed or the
// process ends. It is nil when another process has it. Children do not inherit
// the file, so a server that outlives its owner does not keep the lock.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the data directory: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	_ = f.Close() // nothing was written
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, fmt.Errorf("lock the data directory: %w", err)
}
