// Package timeid makes identifiers that order by time: UUIDs of version 7
// (RFC 9562, section 5.7).
package timeid

import (
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/google/uuid"
)

// New is an id for an instant. Ids order by time down to a quarter of a
// microsecond, so that pages can be cut by id.
func New(at time.Time) uuid.UUID {
	id := Floor(at)
	fraction := at.UnixNano() % int64(time.Millisecond) << 12 / int64(time.Millisecond)
	id[6] |= byte(fraction >> 8)
	id[7] = byte(fraction)
	_, _ = rand.Read(id[8:]) // never fails, by its documentation
	id[8] = id[8]&0x3f | 0x80
	return id
}

// Floor is the lowest id at or after an instant, cut to the millisecond.
func Floor(at time.Time) uuid.UUID {
	var id uuid.UUID
	if ms := at.UnixMilli(); ms > 0 {
		binary.BigEndian.PutUint64(id[:8], uint64(ms)<<16)
	}
	id[6], id[8] = 0x70, 0x80
	return id
}
