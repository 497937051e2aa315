package bench

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"herald/dispatch"
	"herald/dispatch/sms/smpp"
)

// driveSlice is how many messages a session is given at a time, as Herald's
// dispatcher does.
const driveSlice = 100

// drive hands messages to sessions of the driver, each slice when the one
// before is through, and returns messages per second, binding left out.
func drive(ctx context.Context, client *smpp.Client, run smpp.FloorRun) (perSecond float64, err error) {
	sessions := make([]dispatch.BatchSession, run.Connections)
	for i := range sessions {
		session, err := client.Open(ctx)
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, session.Close(ctx)) }()
		sessions[i] = session.(dispatch.BatchSession) // the driver's are
	}
	var left atomic.Int64
	left.Store(int64(run.Messages))
	failed := make(chan error, run.Connections)
	began := time.Now()
	var all sync.WaitGroup
	for _, session := range sessions {
		all.Go(func() { failed <- driveOne(ctx, session, run.Message, &left) })
	}
	all.Wait()
	took := time.Since(began)
	for range sessions {
		err = errors.Join(err, <-failed)
	}
	return float64(run.Messages) / took.Seconds(), err
}

// driveOne hands over on one session while any are left.
func driveOne(ctx context.Context, session dispatch.BatchSession, message dispatch.Message, left *atomic.Int64) (failed error) {
	slice := make([]dispatch.Message, driveSlice)
	for i := range slice {
		slice[i] = message
	}
	for failed == nil {
		n := left.Add(-driveSlice) + driveSlice
		if n <= 0 {
			return nil
		}
		session.SendBatch(ctx, slice[:min(n, driveSlice)], func(_ int, _ dispatch.Receipt, err error) {
			if err != nil {
				failed = err
			}
		})
	}
	return failed
}
