package app

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"herald/app/config"
	"herald/dispatch"
)

// accounts are what the API tells of them, by name.
func (c *company) accounts() map[string]dispatch.AccountState {
	c.t.Helper()
	var page struct{ Items []dispatch.AccountState }
	c.ask(http.StatusOK, "GET", "/api/v1/accounts", nil, &page)
	list := map[string]dispatch.AccountState{}
	for _, a := range page.Items {
		list[a.Name] = a
	}
	return list
}

// A SIM's quota and a broken connection make nobody wait while the other way
// is there; the accounts tell what went where.
func TestGatewayAndModemStandInForEachOther(t *testing.T) {
	center, phone := farEnds(t)
	cfg := settings(t)
	cfg.Dispatch.FirstRetry = 100 * time.Millisecond
	centre := config.SMPPAccount{
		Name: "operator", Host: "127.0.0.1", Port: mustPort(t, center.Addr()), SystemID: "herald", Password: "secret", Source: "10690001",
		Use: config.Use{MaxSessions: 1, Cost: 2},
	}
	stick := config.ModemAccount{Name: "stick", Device: phone.Path(), DailyQuota: 2, Use: config.Use{MaxSessions: 1, Cost: 1}}
	cfg.SMS = config.SMS{SMPP: []config.SMPPAccount{centre}, Modems: []config.ModemAccount{stick}}
	c := open(t, cfg)
	c.until(func() (string, bool) {
		a := c.accounts()["stick"]
		return fmt.Sprintf("the modem is %+v", a.Device), a.Device != nil && a.Device.Works()
	})
	c.waits("bob", "+12025550123")
	for _, price := range []int{45, 44} {
		c.costs(price)
		arrived(t, phone.Texts(), "12025550123", fmt.Sprint(price))
	}
	c.costs(43) // the SIM may send no more today
	arrived(t, center.Texts(), "12025550123", "43")
	c.until(func() (string, bool) {
		all := c.accounts()
		a, b := all["stick"], all["operator"]
		ok := a.Volume != nil && a.Volume.PastWeek == 2 && b.Volume != nil && b.Volume.PastWeek == 1 && a.Device.QuotaUntil != nil && a.Setup.Device && !b.Setup.Device
		return fmt.Sprintf("stick: %+v %+v, operator: %+v", a.Volume, a.Device, b.Volume), ok
	})

	if err := c.Deliveries.BeginTrace(t.Context(), "stick", "operator:ann"); err != nil {
		t.Fatal(err)
	}
	c.until(func() (string, bool) {
		a := c.accounts()["stick"]
		return fmt.Sprintf("the modem is %+v", a.Device), a.Device.Tracing
	})
	if err := phone.Deliver("+12025550123", "Thanks!"); err != nil {
		t.Fatal(err)
	}
	c.until(func() (string, bool) {
		seen, err := c.Deliveries.Traces(t.Context(), "stick")
		if err != nil || len(seen) == 0 {
			return fmt.Sprint(err), false
		}
		return fmt.Sprintf("the line shows %+v", seen[0].Lines), len(seen[0].Lines) > 0 && strings.Contains(fmt.Sprint(seen[0].Lines), "AT+")
	})
}

func TestAModemStandsInForAGatewayThatIsAway(t *testing.T) {
	center, phone := farEnds(t)
	cfg := settings(t)
	cfg.Dispatch.FirstRetry = 100 * time.Millisecond
	cfg.SMS = config.SMS{
		SMPP: []config.SMPPAccount{{
			Name: "operator", Host: "127.0.0.1", Port: mustPort(t, center.Addr()), SystemID: "herald", Password: "secret", Source: "10690001", Use: config.Use{MaxSessions: 1},
		}},
		Modems: []config.ModemAccount{{Name: "stick", Device: phone.Path(), Use: config.Use{MaxSessions: 1, Cost: 5}}},
	}
	c := open(t, cfg)
	c.waits("bob", "+12025550123")
	c.costs(45)
	arrived(t, center.Texts(), "12025550123", "45")
	if err := center.Close(); err != nil {
		t.Fatal(err)
	}
	c.costs(44)
	arrived(t, phone.Texts(), "12025550123", "44")
}
