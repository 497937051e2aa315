package gsm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"go.bug.st/serial"
)

// Serial opens a serial line at a speed (0: 115200), 8N1 without flow control.
//
// The device is best given by its lasting name, /dev/serial/by-id/…: after a
// reset /dev/ttyUSB0 may be another. The name is resolved at every opening. A
// pseudo terminal works, too: no modem bits are set, which it has not.
func Serial(device string, baud int) func(context.Context) (io.ReadWriteCloser, error) {
	if baud == 0 {
		baud = 115200
	}
	return func(context.Context) (io.ReadWriteCloser, error) {
		port, err := serial.Open(device, &serial.Mode{BaudRate: baud, DataBits: 8})
		var failure *serial.PortError
		switch {
		case errors.As(err, &failure) && failure.Code() == serial.PortBusy:
			return nil, fmt.Errorf("open %s: another program has it", device)
		case errors.Is(err, fs.ErrNotExist), errors.As(err, &failure) && failure.Code() == serial.PortNotFound:
			return nil, fmt.Errorf("open %s: %w: there is no such device", device, ErrGone)
		case err != nil:
			return nil, fmt.Errorf("open %s: %w", device, err)
		}
		return port, nil
	}
}
