package sim

import (
	"encoding/json"
	"log/slog"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPace(t *testing.T) {
	p := Pace{PerSecond: 2}
	at := time.Unix(100, 0)
	var got []bool
	for _, after := range []time.Duration{0, 1, 2, time.Second, time.Second + 1, time.Second + 2} {
		got = append(got, p.Allows(at.Add(after)))
	}
	if want := []bool{true, true, false, true, true, false}; !slices.Equal(got, want) {
		t.Errorf("allowed were %v", got)
	}
	if !new(Pace).Allows(at) {
		t.Error("without a pace it does not allow")
	}
}

func TestDoor(t *testing.T) {
	var shut atomic.Bool
	served := make(chan struct{}, 10)
	d := Door{Name: "door", Shut: func() bool { return shut.CompareAndSwap(true, false) }, Logger: slog.New(slog.DiscardHandler), Serve: Each(func(c net.Conn) {
		served <- struct{}{}
		_, _ = c.Read(make([]byte, 1)) // until it is closed
	})}
	if d.Addr() != "" {
		t.Error("it has an address before it opens")
	}
	if err := d.Open(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if err := d.Open(t.Context(), "127.0.0.1:0"); err == nil {
		t.Error("it opens twice")
	}
	if err := (&Door{}).Open(t.Context(), d.Addr()); err == nil {
		t.Error("two doors are at one place")
	}
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", d.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	shut.Store(true)
	if _, err := dial().Read(make([]byte, 1)); err == nil {
		t.Error("the closed door lets somebody in")
	}
	conn := dial()
	<-served
	d.DropAll()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("a connection that was dropped says something")
	}
	dial()
	<-served
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if err := d.Close(); err != nil || d.Inside() != 0 {
		t.Errorf("closing again gives %v, %d are inside", err, d.Inside())
	}
}

func TestDurationsAreTexts(t *testing.T) {
	var d Duration
	if err := json.Unmarshal([]byte(`"1.5s"`), &d); err != nil || d != Duration(1500*time.Millisecond) {
		t.Errorf("read as %v, %v", time.Duration(d), err)
	}
	if text, err := json.Marshal(d); err != nil || string(text) != `"1.5s"` {
		t.Errorf("written as %s, %v", text, err)
	}
	if err := json.Unmarshal([]byte(`"soon"`), &d); err == nil {
		t.Error("soon is no duration")
	}
}
