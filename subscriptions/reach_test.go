package subscriptions

import (
	"testing"
	"time"
)

func TestChoose(t *testing.T) {
	verified := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	at := func(id int64, ch Channel, address string) ContactPoint {
		return ContactPoint{ID: id, Channel: ch, Address: address, VerifiedAt: &verified, Standing: Good}
	}
	good, other, phone := at(1, Email, "Wei@example.com"), at(2, Email, "li@example.com"), at(3, SMS, "+8613800138000")
	unverified, dead, failing := good, good, good
	unverified.VerifiedAt = nil
	dead.Standing, failing.Standing = Dead, Failing
	said := func(p Purpose, granted bool) []Consent {
		return []Consent{{Channel: Email, Purpose: p, Granted: granted}}
	}
	silenced := func(reason string) []Suppression {
		return []Suppression{{Channel: Email, Address: "wei@example.com", Reason: reason}}
	}
	agreed := said(Service, true)

	tests := []struct {
		name    string
		reach   Reach
		purpose Purpose
		want    int64 // contact point: the one to use, or the one refused
		refusal Refusal
	}{
		{"transactional needs no consent", Reach{Contacts: []ContactPoint{good}}, Transactional, 1, ""},
		{"transactional can be refused", Reach{Contacts: []ContactPoint{good}, Consents: said(Transactional, false)}, Transactional, 1, NoConsent},
		{"service needs consent", Reach{Contacts: []ContactPoint{good}}, Service, 1, NoConsent},
		{"service with consent", Reach{Contacts: []ContactPoint{good}, Consents: agreed}, Service, 1, ""},
		{"service that was refused", Reach{Contacts: []ContactPoint{good}, Consents: said(Service, false)}, Service, 1, NoConsent},
		{"consent to service is none to marketing", Reach{Contacts: []ContactPoint{good}, Consents: agreed}, Marketing, 1, NoConsent},
		{"consent on one channel is none on another", Reach{Contacts: []ContactPoint{good}, Consents: []Consent{{Channel: SMS, Purpose: Service, Granted: true}}}, Service, 1, NoConsent},
		{"no address at all", Reach{Consents: agreed}, Service, 0, NoAddress},
		{"an address on another channel does not serve", Reach{Contacts: []ContactPoint{phone}, Consents: agreed}, Service, 0, NoAddress},
		{"an address nobody verified is not used", Reach{Contacts: []ContactPoint{unverified}}, Transactional, 1, NotVerified},
		{"a dead address is not used", Reach{Contacts: []ContactPoint{dead}}, Transactional, 1, AddressDead},
		{"a failing address is used", Reach{Contacts: []ContactPoint{failing}}, Transactional, 1, ""},
		{"the first usable address is taken", Reach{Contacts: []ContactPoint{phone, good, other}}, Transactional, 1, ""},
		{"a dead address gives way to the next", Reach{Contacts: []ContactPoint{dead, other}}, Transactional, 2, ""},
		{"an unverified address gives way to the next", Reach{Contacts: []ContactPoint{unverified, other}}, Transactional, 2, ""},
		{"a bounced address gives way to the next", Reach{Contacts: []ContactPoint{good, other}, Suppressions: silenced(Bounced)}, Transactional, 2, ""},
		{"when none can be used the first says why", Reach{Contacts: []ContactPoint{unverified, dead}}, Transactional, 1, NotVerified},
		{"unsubscribed blocks service", Reach{Contacts: []ContactPoint{good}, Consents: agreed, Suppressions: silenced(Unsubscribed)}, Service, 1, "suppressed_unsubscribed"},
		{"unsubscribed blocks marketing", Reach{Contacts: []ContactPoint{good}, Consents: said(Marketing, true), Suppressions: silenced(Unsubscribed)}, Marketing, 1, "suppressed_unsubscribed"},
		{"unsubscribed lets transactional pass", Reach{Contacts: []ContactPoint{good}, Suppressions: silenced(Unsubscribed)}, Transactional, 1, ""},
		{"bounced blocks transactional", Reach{Contacts: []ContactPoint{good}, Suppressions: silenced(Bounced)}, Transactional, 1, "suppressed_bounced"},
		{"complained blocks transactional", Reach{Contacts: []ContactPoint{good}, Suppressions: silenced(Complained)}, Transactional, 1, "suppressed_complained"},
		{"stopped blocks transactional", Reach{Contacts: []ContactPoint{good}, Suppressions: silenced(Stopped)}, Transactional, 1, "suppressed_stopped"},
		{"an operator's block holds for all", Reach{Contacts: []ContactPoint{good}, Suppressions: silenced(ByOperator)}, Transactional, 1, "suppressed_operator"},
		{"a wish for silence is not gone round by another address", Reach{Contacts: []ContactPoint{good, other}, Consents: agreed, Suppressions: silenced(Unsubscribed)}, Service, 1, "suppressed_unsubscribed"},
		{"a complaint about an address that may be a stranger's is not the member's wish", Reach{Contacts: []ContactPoint{unverified, other}, Suppressions: silenced(Complained)}, Transactional, 2, ""},
		{"a suppression on another channel does not count", Reach{Contacts: []ContactPoint{good}, Suppressions: []Suppression{{Channel: SMS, Address: "wei@example.com", Reason: Stopped}}}, Transactional, 1, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, refusal := tt.reach.Choose(Email, tt.purpose)
			if got.ID != tt.want || refusal != tt.refusal {
				t.Errorf("Choose = contact point %d, %q; want %d, %q", got.ID, refusal, tt.want, tt.refusal)
			}
		})
	}
}

func TestWhereACodeMayGo(t *testing.T) {
	for reason, want := range map[string]Refusal{
		"": "", Unsubscribed: "", Bounced: "",
		Complained: "suppressed_complained", Stopped: "suppressed_stopped", ByOperator: "suppressed_operator",
	} {
		r := Reach{Contacts: []ContactPoint{{ID: 7, Channel: Email, Address: "Wei@example.com", Standing: Dead}}}
		if reason != "" {
			r.Suppressions = []Suppression{{Channel: Email, Address: "wei@example.com", Reason: reason}}
		}
		if c, refusal := r.ChooseToConfirm(Email, 7); refusal != want || c.ID != 7 {
			t.Errorf("suppressed as %q: contact point %d, %q; want %q", reason, c.ID, refusal, want)
		}
		if _, refusal := r.ChooseToConfirm(Email, 8); refusal != NoAddress {
			t.Errorf("one that is gone: %q", refusal)
		}
	}
}

func TestWhereAnAnswerMayGo(t *testing.T) {
	for reason, want := range map[string]Refusal{
		"": "", Unsubscribed: "", Bounced: "", Stopped: "",
		Complained: "suppressed_complained", ByOperator: "suppressed_operator",
	} {
		r := Reach{Contacts: []ContactPoint{{ID: 7, Channel: SMS, Address: "+8613800138000"}}}
		if reason != "" {
			r.Suppressions = []Suppression{{Channel: SMS, Address: "+8613800138000", Reason: reason}}
		}
		if c, refusal := r.ChooseToAnswer(SMS, 7); refusal != want || c.ID != 7 {
			t.Errorf("suppressed as %q: contact point %d, %q; want %q", reason, c.ID, refusal, want)
		}
		if _, refusal := r.ChooseToAnswer(Email, 7); refusal != NoAddress {
			t.Errorf("on another channel: %q", refusal)
		}
	}
}
