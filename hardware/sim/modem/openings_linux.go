package modem

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// openings notices programs that open the line; a pty has no wire for that
// (DTR), so the file system is asked.
type openings struct{ fd int }

func watchOpenings(path string) (*openings, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_OPEN); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return &openings{fd}, nil
}

// any is true when a program opened the line since it was asked before.
// Events are of 16 bytes: a watch on a file has no names (inotify(7)).
func (o *openings) any() bool {
	var buffer [64 * unix.SizeofInotifyEvent]byte
	found := false
	for {
		n, err := unix.Read(o.fd, buffer[:])
		if err != nil || n <= 0 {
			return found // EAGAIN: that was all
		}
		for event := buffer[:n]; len(event) >= unix.SizeofInotifyEvent; event = event[unix.SizeofInotifyEvent:] {
			found = found || binary.NativeEndian.Uint32(event[4:])&unix.IN_OPEN != 0
		}
	}
}

func (o *openings) close() error { return unix.Close(o.fd) }
