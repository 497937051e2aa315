package link

import (
	"context"
	"fmt"
	"net"
	"time"

	"herald/dispatch/sms/wire"
)

// Greet asks u on a connection that nothing was said on yet, and gives its
// answer: nothing else may come before that. It returns soon after ctx ends.
func Greet(ctx context.Context, conn net.Conn, protocol wire.Protocol, u wire.PDU) (wire.PDU, error) {
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })() // a closed one needs none
	if _, err := conn.Write(protocol.Append(nil, u)); err != nil {
		return wire.PDU{}, fmt.Errorf("greet the gateway: %w", err)
	}
	reply, err := protocol.Read(conn)
	if err != nil {
		return wire.PDU{}, err
	}
	if !reply.IsAnswer() || reply.Sequence != u.Sequence {
		return wire.PDU{}, fmt.Errorf("%w: no answer to the greeting", wire.ErrMalformed)
	}
	return reply, nil
}
