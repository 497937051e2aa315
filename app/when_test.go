package app

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"herald/app/config"
	"herald/dispatch"
	"herald/dispatch/caps"
	"herald/dispatch/timing"
)

func TestWhenMembersAreWrittenTo(t *testing.T) {
	cfg, err := config.Load("", []string{
		`HERALD_DISPATCH_QUIET_HOURS=21:30-08:00`,
		`HERALD_DISPATCH_CAPS=[{purpose: marketing, max: 1, within: 24h}, {purpose: marketing, max: 3, within: 168h}]`,
		`HERALD_SMS_TIME_ZONE=Asia/Shanghai`,
		`HERALD_SMS_GATEWAY_FROM=50000`,
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := decidesBy(cfg)
	shanghai, zoneErr := time.LoadLocation("Asia/Shanghai")
	if zoneErr != nil {
		t.Fatal(zoneErr)
	}
	want := dispatch.StoreConfig{
		Volume: dispatch.VolumeRule{Zone: shanghai, Threshold: 50_000},
		Quiet:  timing.Quiet{From: 1290, Until: 480},
		Caps:   caps.Rules{"marketing": {{Max: 1, Within: 24 * time.Hour}, {Max: 3, Within: 168 * time.Hour}}},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })); err != nil || diff != "" {
		t.Errorf("decides by (-want +got):\n%s, %v", diff, err)
	}
}
