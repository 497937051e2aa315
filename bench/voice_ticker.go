package bench

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"herald/hardware/sip/g711"
	"herald/hardware/sip/media"
)

// tickAll sends as many streams as there would be calls, each from a goroutine
// with a ticker of its own, and gives how long they were sent, together.
func tickAll(ctx context.Context, sound []string, o VoiceOptions) (time.Duration, error) {
	all, ctx := errgroup.WithContext(ctx)
	pace := time.NewTicker(time.Duration(float64(time.Second) / o.PerSecond))
	defer pace.Stop()
	for i := range o.Calls {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return 0, all.Wait()
		}
		to, err := netip.ParseAddrPort(sound[i%len(sound)])
		if err != nil {
			return 0, err
		}
		all.Go(func() error { return tickOne(ctx, to, uint32(i), int(o.Talk/media.FrameTime)) }) //nolint:gosec // a count
	}
	return time.Duration(o.Calls) * o.Talk, all.Wait()
}

// tickOne sends a stream.
func tickOne(ctx context.Context, to netip.AddrPort, ssrc uint32, packets int) error {
	conn, err := net.ListenUDP("udp4", loopback())
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // all is sent
	packet := append([]byte{2 << 6, 0, 11: 0}, g711.Mu.Encode(saying(media.FrameTime))...)
	binary.BigEndian.PutUint32(packet[8:], ssrc)
	ticker := time.NewTicker(media.FrameTime)
	defer ticker.Stop()
	for n := range packets {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		binary.BigEndian.PutUint16(packet[2:], uint16(n))                    //nolint:gosec // modulo 2^16
		binary.BigEndian.PutUint32(packet[4:], uint32(n*media.FrameSamples)) //nolint:gosec // modulo 2^32
		if _, err := conn.WriteToUDPAddrPort(packet, to); err != nil {
			return err
		}
	}
	return nil
}
