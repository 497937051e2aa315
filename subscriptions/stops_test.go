package subscriptions

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"herald/problem"
)

const wanted = "+8613800138000"

// stops writes STOP from an address and says whether that changed anything.
func (p *people) stops(t testing.TB, address string) (changed bool) {
	t.Helper()
	err := pgx.BeginFunc(t.Context(), p.pool, func(tx pgx.Tx) (err error) {
		changed, err = p.consents.StopTx(t.Context(), tx, SMS, address, "STOP to 10690000")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// restarts writes START from an address and says whether that lifted anything.
func (p *people) restarts(t testing.TB, address string) (lifted bool) {
	t.Helper()
	err := pgx.BeginFunc(t.Context(), p.pool, func(tx pgx.Tx) (err error) {
		lifted, err = p.consents.RestartTx(t.Context(), tx, SMS, address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return lifted
}

func TestStopGivesWayToWhatIsStricterAndStartLiftsOnlyAStop(t *testing.T) {
	for _, tt := range []struct {
		first   string // why it was suppressed before; empty: it was not
		changed bool
		then    string // why it is suppressed after STOP
		lifted  bool   // by START
	}{
		{"", true, Stopped, true},
		{Stopped, false, Stopped, true},
		{Unsubscribed, true, Stopped, true},
		{Bounced, true, Stopped, true},
		{Complained, false, Complained, false},
		{ByOperator, false, ByOperator, false},
	} {
		t.Run("first "+tt.first, func(t *testing.T) {
			p := newPeople(t)
			if p.restarts(t, wanted) {
				t.Error("START lifted what was not there")
			}
			if tt.first != "" {
				if err := p.consents.Suppress(t.Context(), Suppression{Channel: SMS, Address: wanted, Reason: tt.first}); err != nil {
					t.Fatal(err)
				}
			}
			if changed := p.stops(t, wanted); changed != tt.changed {
				t.Errorf("STOP changed: %v", changed)
			}
			if p.stops(t, wanted) {
				t.Error("STOP changed something twice")
			}
			list, err := p.consents.Suppressions(t.Context(), SuppressionFilter{Address: wanted})
			if err != nil || len(list) != 1 || list[0].Reason != tt.then {
				t.Errorf("suppressed: %+v (%v), want %s", list, err, tt.then)
			}
			if lifted := p.restarts(t, wanted); lifted != tt.lifted {
				t.Errorf("START lifted: %v", lifted)
			}
			if list, _ = p.consents.Suppressions(t.Context(), SuppressionFilter{Address: wanted}); (len(list) == 0) != tt.lifted {
				t.Errorf("after START: %+v", list)
			}
		})
	}
}

func TestStartRevivesTheContactPoints(t *testing.T) {
	p := newPeople(t)
	m := p.register(t, Registration{Account: "wei", Contacts: []NewContact{{Channel: SMS, Address: wanted, Verified: true}}})
	if _, err := p.pool.Exec(t.Context(), `UPDATE contact_points SET standing = 'dead', standing_reason = '1' WHERE member_id = $1`, m.ID); err != nil {
		t.Fatal(err)
	}
	p.stops(t, wanted)
	if !p.restarts(t, wanted) {
		t.Fatal("nothing was lifted")
	}
	reach, err := p.consents.Reach(t.Context(), p.pool, []int64{m.ID})
	if err != nil {
		t.Fatal(err)
	}
	if _, refusal := reach[m.ID].Choose(SMS, Transactional); refusal != "" {
		t.Errorf("refused: %s", refusal)
	}
}

func TestOnlyAnAddressIsStoppedOrStarted(t *testing.T) {
	p := newPeople(t)
	for _, address := range []string{"", "10086", "BANK", "wei@example.com"} {
		err := pgx.BeginFunc(t.Context(), p.pool, func(tx pgx.Tx) error {
			if _, err := p.consents.RestartTx(t.Context(), tx, SMS, address); problem.CodeOf(err) != problem.Invalid {
				t.Errorf("%q is started: %v", address, err)
			}
			_, err := p.consents.StopTx(t.Context(), tx, SMS, address, "")
			return err
		})
		wantCode(t, err, problem.Invalid)
	}
}

func TestOwnersAreAllWhoHaveANumberTheVerifiedFirst(t *testing.T) {
	p := newPeople(t)
	claims := p.register(t, Registration{Account: "claims", Contacts: []NewContact{{Channel: SMS, Address: wanted}}})
	owns := p.register(t, Registration{Account: "owns", Contacts: []NewContact{{Channel: SMS, Address: wanted, Verified: true}, {Channel: Voice, Address: wanted, Verified: true}}})
	owners, err := p.contacts.Owners(t.Context(), p.pool, SMS, []string{wanted, "+8613900139000"})
	if err != nil {
		t.Fatal(err)
	}
	if len(owners) != 1 || len(owners[wanted]) != 2 || owners[wanted][0].MemberID != owns.ID || owners[wanted][1].MemberID != claims.ID {
		t.Errorf("owners %+v", owners)
	}
}
