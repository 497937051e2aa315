package console_test

import (
	"net/http"
	"net/url"
	"testing"

	"herald/dispatch"
)

func TestManyAreRuledAboutAfterAQuestion(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	found := s.delivered("refused1", "refused2", "doubt")
	v := s.signedIn("bob")
	v.get("/console/attention").is(http.StatusOK).has("refused1", "refused2", "All 2 that match", "Retry…", "Discard…").lacks("It was sent…")
	v.get("/console/attention?state=in_doubt").is(http.StatusOK).has("doubt", "It was sent…")
	v.get("/console/attention?state=failed&reason=expired").is(http.StatusOK).has("Nothing here wants your eye")
	v.get("/console/attention?since=never").is(http.StatusUnprocessableEntity)

	v.get("/console/attention/confirm?state=failed&scope=chosen&action=retry").has("Tick some messages first")
	v.get("/console/attention/confirm?state=failed&scope=chosen&action=discard&id=" + found[0].ID.String()).is(http.StatusOK).has("Discards 1 message")
	v.get("/console/attention/confirm?state=failed&scope=all&action=discard").is(http.StatusOK).has("Discards 2 messages")
	v.get("/console/attention/confirm?state=failed&scope=all&action=assume_sent").is(http.StatusNotFound)
	v.get("/console/attention/confirm?state=in_doubt&scope=all&action=retry").has("may get it twice")

	begun := v.post("/console/attention", url.Values{"state": {"failed"}, "scope": {"all"}, "action": {"discard"}}).is(http.StatusOK).has("under way", "operator bob")
	v.get("/console/bulk").is(http.StatusOK).has("Discards 2 messages")
	v.post(begun.path+"/cancel", nil).is(http.StatusOK).has("cancelled")
	v.get("/console/bulk/99").is(http.StatusNotFound)

	doubt := "/console/deliveries/" + found[2].ID.String()
	v.post(doubt+"/assume_sent", nil).at(doubt).has("It counts as sent.")
	v.post(doubt+"/erase", nil).is(http.StatusNotFound)
	if got := s.deliveries(dispatch.Search{Member: "doubt"})[0].State; got != dispatch.Accepted {
		t.Errorf("it is %s", got)
	}
}

func TestTheLedgerIsCheckedAndMended(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.delivered("fine")
	v := s.signedIn("bob")
	v.get("/console/ledger").is(http.StatusOK).has("Not checked yet", "balanced")
	v.post("/console/ledger/check", nil).is(http.StatusOK).has("Every message is accounted for.")
	v.post("/console/ledger/recount", nil).is(http.StatusOK).has("Nothing was recounted")
	_, err := s.pool.Exec(t.Context(), `UPDATE ledger_moves SET n = n + 1 WHERE state = 'accepted'`)
	must(t, err)
	v.post("/console/ledger/check", nil).is(http.StatusOK).has("trigger price_drop, accepted: the ledger says 2, there are 1.", "Recount…")
	v.get("/console").is(http.StatusOK).has("the ledger says 2, there are 1.", "does not balance")
	v.post("/console/ledger/recount", nil).is(http.StatusOK).has("The ledger was recounted.", "Recounted by operator bob")
	v.get("/console/ledger.csv").is(http.StatusOK).has("day,targeted,accepted", ",1,1,0,0,0,0,0,0,true")
}
