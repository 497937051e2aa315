package link

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"herald/dispatch"
	"herald/dispatch/sms"
	"herald/dispatch/sms/wire"
)

// collector is a store that keeps pieces.
type collector struct {
	Parts
	kept    []string
	looked  int
	failing error
}

func (c *collector) Collect(_ context.Context, account string, pieces []sms.Piece, _ func(context.Context, []dispatch.Inbound) error) error {
	for _, p := range pieces {
		c.kept = append(c.kept, account+" "+p.Key)
	}
	return nil
}

func (c *collector) Overdue(context.Context, string, func(context.Context, []dispatch.Inbound) error) error {
	c.looked++
	return c.failing
}

func TestInbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &collector{}
		b := newInbox("a", store, 2)
		taken := 0
		for i, key := range []string{"1", "2", "1", "3"} {
			if put := b.put(sms.Piece{Key: key}, func() { taken++ }); put != (i < 3) {
				t.Errorf("piece %d: %v", i, put)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute+time.Second)
		defer cancel()
		if err := b.run(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it ends with %v", err)
		}
		if !slices.Equal(store.kept, []string{"a 1", "a 2"}) || taken != 2 || store.looked != 10 {
			t.Errorf("kept were %v, acknowledged %d, looked for %d times", store.kept, taken, store.looked)
		}
		store.failing = errors.New("the database is away")
		if err := b.run(t.Context(), nil); !errors.Is(err, store.failing) {
			t.Errorf("it ends with %v", err)
		}
	})
}

func TestPieces(t *testing.T) {
	for name, c := range map[string]struct {
		format   wire.Format
		hasUDH   bool
		content  string
		readable bool
		part, of byte
		text     string
	}{
		"one alone":               {wire.ASCII, false, "TD", true, 0, 0, "TD"},
		"a part":                  {wire.UCS2, true, "\x05\x00\x03\x07\x02\x01\x90\x00", true, 1, 2, "退"},
		"a part in GBK":           {wire.GBK, true, "\x06\x08\x04\x01\x07\x02\x02\xB6\xA9", true, 2, 2, "订"},
		"a header that cannot be": {wire.ASCII, true, "TD", true, 0, 0, "TD"},
		"to a port":               {wire.ASCII, true, "\x06\x05\x04\x0B\x84\x00\x00TD", false, 0, 0, "TD"},
		"for the card":            {wire.Card, false, "TD", false, 0, 0, ""},
	} {
		p, readable := Piece(c.format, c.hasUDH, []byte(c.content))
		if readable != c.readable || p.Header.Part != c.part || p.Header.Of != c.of || sms.DecodeUCS2(p.Data) != c.text {
			t.Errorf("%s is %+v, %v", name, p, readable)
		}
	}
}
