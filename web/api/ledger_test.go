package api_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"herald/dispatch"
	"herald/web/api"
)

func TestTheLedgerIsReadByDayAndChecked(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.subscribe(s.member("wei"), "4411", 499)
	s.post("/api/v1/events", `{"specversion":"1.0","id":"e1","source":"shop","type":"price.changed","data":{"product":"4411","name":"Stroller","price":489,"previous_price":529,"currency":"CNY"}}`,
		"Content-Type", "application/cloudevents+json").is(http.StatusAccepted)
	days := as[api.Page[dispatch.DayLedger]](s.get("/api/v1/ledger/days?zone=Asia/Shanghai&trigger=price_drop").is(http.StatusOK))
	if len(days.Items) != 1 || days.Items[0].Targeted != 1 || !days.Items[0].Balanced {
		t.Errorf("days %+v", days)
	}
	s.get("/api/v1/ledger/days?zone=Nowhere").problem(http.StatusUnprocessableEntity, "invalid")
	check := as[dispatch.LedgerCheck](s.post("/api/v1/ledger/check", "").is(http.StatusOK))
	if !check.OK || check.Counted != 1 {
		t.Errorf("check %+v", check)
	}
	if list := as[api.Page[dispatch.LedgerCheck]](s.get("/api/v1/ledger/checks").is(http.StatusOK)); len(list.Items) != 1 || list.Items[0].ID != check.ID {
		t.Errorf("checks %+v", list)
	}
	s.post("/api/v1/ledger/recount", "").problem(http.StatusConflict, "conflict")
	execute(t, s.pool, `INSERT INTO nodes (name) VALUES ('node-1')`)
	execute(t, s.pool, `INSERT INTO account_states (node, account, channel, sessions, in_use, share, maximum, waiting, circuit, failure, at, setup, device)
VALUES ('node-1', 'modem-1', 'sms', 1, 0, 1, 1, 0, 'closed', '', now(), '{"device": true, "limits": {"rate": {"max": 6, "per": "minute", "burst": 1}}}', '{"state": "ready", "signal_dbm": -71}')`)
	execute(t, s.pool, `INSERT INTO account_days VALUES (current_date, 'modem-1', 312)`)
	accounts := as[api.Page[dispatch.AccountState]](s.get("/api/v1/accounts").is(http.StatusOK)).Items
	if len(accounts) != 1 || accounts[0].Volume == nil || accounts[0].Volume.PastWeek != 312 || !accounts[0].Setup.Device || accounts[0].Setup.Limits.Rate.Per != "minute" ||
		accounts[0].Device == nil || accounts[0].Device.SignalDBm != -71 {
		t.Errorf("accounts %+v", accounts)
	}

	found := as[api.Page[dispatch.Delivery]](s.get("/api/v1/deliveries?state=pending").is(http.StatusOK)).Items[0]
	s.get("/api/v1/deliveries?reason=refused").problem(http.StatusUnprocessableEntity, "invalid")
	begun := as[api.BulkBegun](s.post("/api/v1/deliveries/bulk", `{"action":"discard","state":"pending","dry_run":true}`).is(http.StatusAccepted))
	if begun.Count != 1 || begun.Action != nil {
		t.Errorf("dry run %+v", begun)
	}
	begun = as[api.BulkBegun](s.post("/api/v1/deliveries/bulk", fmt.Sprintf(`{"action":"discard","state":"pending","ids":[%q]}`, found.ID)).is(http.StatusAccepted))
	if begun.Action == nil || begun.Action.Total != 1 {
		t.Fatalf("begun %+v", begun)
	}
	at := fmt.Sprintf("/api/v1/bulk-actions/%d", begun.Action.ID)
	if got := as[dispatch.BulkAction](s.post(at+"/cancel", "").is(http.StatusOK)); got.State != dispatch.BulkCancelled {
		t.Errorf("cancelled %+v", got)
	}
	s.post(at+"/cancel", "").problem(http.StatusConflict, "conflict")
	if list := as[api.Page[dispatch.BulkAction]](s.get("/api/v1/bulk-actions").is(http.StatusOK)); len(list.Items) != 1 {
		t.Errorf("list %+v", list)
	}
	s.post("/api/v1/deliveries/bulk", `{"action":"discard"}`).problem(http.StatusUnprocessableEntity, "invalid")
	s.post("/api/v1/deliveries/"+found.ID.String()+"/discard", "").is(http.StatusAccepted)
}

func execute(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}
