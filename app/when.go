package app

import (
	"fmt"

	"herald/app/config"
	"herald/dispatch"
	"herald/dispatch/caps"
	"herald/dispatch/timing"
	"herald/subscriptions"
)

// decidesBy is what the deliveries' store decides by.
func decidesBy(cfg config.Config) (dispatch.StoreConfig, error) {
	from, until, err := cfg.Dispatch.Quiet()
	if err != nil {
		return dispatch.StoreConfig{}, fmt.Errorf("dispatch.quiet_hours %w", err)
	}
	rules := caps.Rules{}
	for _, c := range cfg.Dispatch.Caps {
		purpose := subscriptions.Purpose(c.Purpose)
		rules[purpose] = append(rules[purpose], caps.Cap{Max: c.Max, Within: c.Within})
	}
	zone, err := cfg.SMS.Zone()
	if err != nil {
		return dispatch.StoreConfig{}, fmt.Errorf("sms.time_zone: %w", err)
	}
	return dispatch.StoreConfig{
		Channels: channels(cfg), Quiet: timing.Quiet{From: from, Until: until}, Caps: rules,
		Volume: dispatch.VolumeRule{Zone: zone, Threshold: cfg.SMS.GatewayFrom},
	}, nil
}
