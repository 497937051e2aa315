package media

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestEverybodyHasATurnEvery20ms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w Wheel
		start := time.Now()
		turns := make([][]time.Duration, 45)
		var leaves []func()
		for i := range turns {
			leaves = append(leaves, w.Ride(func() { turns[i] = append(turns[i], time.Since(start)) }))
		}
		time.Sleep(time.Second + FrameTime/2)
		for _, leave := range leaves {
			leave()
			leave() // does nothing
		}
		w.Wait()
		places := map[time.Duration]int{}
		for i, at := range turns {
			if len(at) < 49 || len(at) > 52 { // the wheel may have passed its place as it got on
				t.Fatalf("rider %d had %d turns in a second", i, len(at))
			}
			for n := range at {
				if at[n] != at[0]+time.Duration(n)*FrameTime {
					t.Fatalf("rider %d had turns at %v", i, at)
				}
			}
			places[at[0]%FrameTime]++
		}
		for place, riders := range places {
			if riders > 3 {
				t.Errorf("%d of %d ride at %v", riders, len(turns), place)
			}
		}
	})
}

func TestATurnThatIsLateDoesNotMoveTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w Wheel
		start := time.Now()
		var at []time.Duration
		leave := w.Ride(func() {
			at = append(at, time.Since(start))
			if len(at) == 3 {
				time.Sleep(2*FrameTime + FrameTime/2)
			}
		})
		time.Sleep(10*FrameTime - 1)
		leave()
		w.Wait()
		want := []time.Duration{0, 20, 40, 90, 90, 100, 120, 140, 160, 180}
		for i := range want {
			want[i] *= time.Millisecond
		}
		if !slices.Equal(at, want) {
			t.Errorf("turns at %v, want %v", at, want)
		}
	})
}

func TestWhoSleptLongDoesNotSendABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w Wheel
		turns := 0
		leave := w.Ride(func() {
			if turns++; turns == 1 {
				time.Sleep(time.Minute) // the machine was asleep
			}
		})
		time.Sleep(time.Minute + 5*FrameTime - 1)
		leave()
		w.Wait()
		if turns > 10 {
			t.Errorf("%d turns at once", turns)
		}
	})
}

func TestAWheelTurnsAgainAfterARest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w Wheel
		for range 3 {
			var once sync.Once
			turned := make(chan struct{})
			leave := w.Ride(func() { once.Do(func() { close(turned) }) })
			<-turned
			leave()
			w.Wait()
		}
	})
}
