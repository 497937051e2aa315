package subscriptions

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"herald/problem"
)

func TestRegisterKeepsEverythingNormalised(t *testing.T) {
	p := newPeople(t)
	m := p.register(t, Registration{
		Account: " Wei.Li@Shop ", Password: "three blind mice", CustomerType: "company", DisplayName: " 李伟 ", Locale: "zh-cn",
		TimeZone: "Asia/Shanghai", Birthday: "2024-02-29", Attributes: map[string]any{"points": 12, "tags": []string{"a"}},
		QuietFrom: pointer(Clock(22 * 60)), QuietUntil: pointer(Clock(450)), DigestHour: pointer(0),
		Contacts: []NewContact{{Channel: Email, Address: "Wei@Example.COM", Verified: true}, {Channel: SMS, Address: "13800138000"}},
		Consents: []NewConsent{{Channel: Email, Purpose: Service, Granted: true, Source: "registration", Evidence: "ticked"}},
	})
	want := Member{
		ID: m.ID, Account: "wei.li@shop", CustomerType: "company", DisplayName: "李伟", Locale: "zh-CN", TimeZone: "Asia/Shanghai",
		Birthday: "2024-02-29", QuietFrom: pointer(Clock(22 * 60)), QuietUntil: pointer(Clock(450)), DigestHour: 0,
		Attributes: map[string]any{"points": 12.0, "tags": []any{"a"}}, CreatedAt: p.time, UpdatedAt: p.time,
		PasswordMark: m.PasswordMark,
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("registered (-want +got):\n%s", diff)
	}
	for name, find := range map[string]func() (Member, error){
		"Get":       func() (Member, error) { return p.members.Get(t.Context(), m.ID) },
		"ByAccount": func() (Member, error) { return p.members.ByAccount(t.Context(), "WEI.LI@shop") },
	} {
		got, err := find()
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s (-want +got):\n%s%v", name, diff, err)
		}
	}
	r := p.reach(t, m.ID)
	if diff := cmp.Diff(want, r.Member); diff != "" {
		t.Errorf("who is to be reached (-want +got):\n%s", diff)
	}
	if len(r.Contacts) != 2 || r.Contacts[0].VerifiedAt == nil || r.Contacts[1].VerifiedAt != nil || r.Contacts[1].Address != "+8613800138000" {
		t.Errorf("contacts %+v", r.Contacts)
	}
	if _, refusal := r.Choose(Email, Service); refusal != "" {
		t.Errorf("consent was not recorded: %q", refusal)
	}
}

func TestAccountsAreFoundByID(t *testing.T) {
	p := newPeople(t)
	wei, _ := p.registered(t, "wei")
	mei, _ := p.registered(t, "mei")
	got, err := p.members.Accounts(t.Context(), []int64{mei.ID, wei.ID, wei.ID + mei.ID + 1})
	if diff := cmp.Diff(map[int64]string{wei.ID: "wei", mei.ID: "mei"}, got); err != nil || diff != "" {
		t.Errorf("-want +got:\n%s%v", diff, err)
	}
	if none, err := p.members.Accounts(t.Context(), nil); err != nil || len(none) != 0 {
		t.Errorf("of nobody: %v, %v", none, err)
	}
}

func TestRegisterFillsInWhatWasNotTold(t *testing.T) {
	m := newPeople(t).register(t, Registration{Account: "wei"})
	if m.CustomerType != "person" || m.Locale != "en" || m.TimeZone != "UTC" || m.Birthday != "" || len(m.Attributes) != 0 ||
		m.QuietFrom != nil || m.QuietUntil != nil || m.DigestHour != 9 {
		t.Errorf("registered %+v", m)
	}
}

func TestRegisterReportsEveryMistakeTogether(t *testing.T) {
	p := newPeople(t)
	_, err := p.members.Register(t.Context(), Registration{
		Account: "w i", Password: "short", CustomerType: "robot", DisplayName: "Wei\r\nBcc: x", Locale: "xx-nowhere", TimeZone: "Mars/Olympus",
		Birthday: "2023-02-29", Attributes: map[string]any{"f": func() {}},
		QuietFrom: pointer(Clock(1440)), DigestHour: pointer(24),
		Contacts: []NewContact{{Channel: Email, Address: "nobody"}, {Channel: "pigeon"}, {Channel: SMS, Address: "13800138000"}},
		Consents: []NewConsent{{Channel: Email, Purpose: "fun", Source: "registration", Evidence: "ticked"}},
	})
	wantCode(t, err, problem.Invalid)
	for path, rule := range map[string]string{
		"account": "charset", "password": "min_len", "customer_type": "options", "display_name": "charset", "locale": "known",
		"time_zone": "known", "birthday": "date", "attributes": "json", "contacts[0].address": "email", "contacts[1].channel": "options",
		"quiet_from": "clock", "quiet_until": "required", "digest_hour": "range", "contacts[2].address": "international", "consents[0].purpose": "options",
	} {
		wantField(t, err, path, rule)
	}
	if n, err := p.members.Count(t.Context()); n != 0 || err != nil {
		t.Errorf("%d members, %v", n, err)
	}
}

func TestRegisterRefuses(t *testing.T) {
	deep := map[string]any{}
	for range maxAttributeDepth {
		deep = map[string]any{"in": deep}
	}
	tests := []struct {
		name       string
		r          Registration
		path, rule string
	}{
		{"no account", Registration{Account: " "}, "account", "required"},
		{"an account of 2 characters", Registration{Account: "li"}, "account", "length"},
		{"an account of 65 characters", Registration{Account: strings.Repeat("a", 65)}, "account", "length"},
		{"an account with letters that look like others", Registration{Account: "wеi"}, "account", "charset"}, // Cyrillic
		{"a password of 9 characters", Registration{Account: "wei", Password: "ninechars"}, "password", "min_len"},
		{"a password of 129 characters", Registration{Account: "wei", Password: strings.Repeat("abcde!", 22)[:129]}, "password", "max_len"},
		{"a password of one character repeated", Registration{Account: "wei", Password: "aaaaaaaaaaaa"}, "password", "common"},
		{"a password that holds the account", Registration{Account: "wei", Password: "I am Wei, hello"}, "password", "account"},
		{"a row of keys", Registration{Account: "wei", Password: "QwertyUIOP"}, "password", "common"},
		{"password and a number", Registration{Account: "wei", Password: "Password2026!"}, "password", "common"},
		{"a password with a tab", Registration{Account: "wei", Password: "three\tblind mice"}, "password", "charset"},
		{"a name of 101 characters", Registration{Account: "wei", DisplayName: strings.Repeat("李", 101)}, "display_name", "max_len"},
		{"a name that turns the text after it", Registration{Account: "wei", DisplayName: "Wei\u202e"}, "display_name", "charset"},
		{"a language nobody knows", Registration{Account: "wei", Locale: "qq"}, "locale", "known"},
		{"an undetermined language", Registration{Account: "wei", Locale: "und"}, "locale", "known"},
		{"the machine's own time zone", Registration{Account: "wei", TimeZone: "Local"}, "time_zone", "known"},
		{"a path for a time zone", Registration{Account: "wei", TimeZone: "../../etc/passwd"}, "time_zone", "known"},
		{"a birthday before 1900", Registration{Account: "wei", Birthday: "1899-12-31"}, "birthday", "range"},
		{"a birthday tomorrow", Registration{Account: "wei", Birthday: "2026-03-02"}, "birthday", "range"},
		{"a birthday in another notation", Registration{Account: "wei", Birthday: "1.3.1990"}, "birthday", "date"},
		{"an end of quiet hours without a beginning", Registration{Account: "wei", QuietUntil: pointer(Clock(480))}, "quiet_from", "required"},
		{"quiet hours before midnight", Registration{Account: "wei", QuietFrom: pointer(Clock(-1)), QuietUntil: pointer(Clock(480))}, "quiet_from", "clock"},
		{"a digest before midnight", Registration{Account: "wei", DigestHour: pointer(-1)}, "digest_hour", "range"},
		{"attributes of more than 16 kB", Registration{Account: "wei", Attributes: map[string]any{"a": strings.Repeat("x", 16000)}}, "attributes", "max_len"},
		{"attributes nested 9 deep", Registration{Account: "wei", Attributes: deep}, "attributes", "max_depth"},
		{"an attribute that PostgreSQL cannot keep", Registration{Account: "wei", Attributes: map[string]any{"a": []any{"\x00"}}}, "attributes", "charset"},
		{"the same address twice", Registration{Account: "wei", Contacts: []NewContact{{Channel: Email, Address: "a@example.com"}, {Channel: Email, Address: "a@EXAMPLE.com"}}}, "contacts[1].address", "duplicate"},
		{"21 addresses", Registration{Account: "wei", Contacts: make([]NewContact, 21)}, "contacts", "max_items"},
	}
	p := newPeople(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := p.members.Register(t.Context(), tt.r)
			wantField(t, err, tt.path, tt.rule)
		})
	}
}

func TestABirthdayIsTodayWhereTheMemberIs(t *testing.T) {
	p := newPeople(t)
	p.time = p.time.Truncate(24 * time.Hour).Add(20 * time.Hour) // 20:00 UTC on 1 March, 2 March in Shanghai
	p.register(t, Registration{Account: "wei", TimeZone: "Asia/Shanghai", Birthday: "2026-03-02"})
	_, err := p.members.Register(t.Context(), Registration{Account: "lin", TimeZone: "America/New_York", Birthday: "2026-03-02"})
	wantField(t, err, "birthday", "range")
}

func TestTextAboutTheCharacterThatCannotBeKeptIsKept(t *testing.T) {
	m := newPeople(t).register(t, Registration{Account: "wei", Attributes: map[string]any{"a": `\u0000`}})
	if m.Attributes["a"] != `\u0000` {
		t.Errorf("attributes %v", m.Attributes)
	}
}

func TestAnAccountIsRegisteredOnce(t *testing.T) {
	p := newPeople(t)
	var won atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, err := p.members.Register(t.Context(), Registration{Account: "WEI", Contacts: []NewContact{{Channel: Email, Address: "wei@example.com"}}})
			if err == nil {
				won.Add(1)
				return
			}
			if problem.CodeOf(err) != problem.Conflict {
				t.Errorf("error %v, want a conflict", err)
			}
			wantField(t, err, "account", "taken")
		})
	}
	wg.Wait()
	if n, _ := p.members.Count(t.Context()); won.Load() != 1 || n != 1 {
		t.Errorf("%d registrations of %d members", won.Load(), n)
	}
}

func TestFind(t *testing.T) {
	p := newPeople(t)
	wei := p.register(t, Registration{Account: "wei.li", DisplayName: "Li Wei", Contacts: []NewContact{{Channel: SMS, Address: "+8613800138000"}}})
	p.register(t, Registration{Account: "wei_xu", DisplayName: "Xu 100% Wei"})
	p.register(t, Registration{Account: "ann", Contacts: []NewContact{{Channel: Email, Address: "Ann@example.com"}}})
	for _, tt := range []struct {
		name   string
		filter MemberFilter
		want   string
	}{
		{"everybody", MemberFilter{}, "wei.li wei_xu ann"},
		{"by the beginning of the account, in any case", MemberFilter{Query: "WEI"}, "wei.li wei_xu"},
		{"a sign of LIKE is itself", MemberFilter{Query: "wei_"}, "wei_xu"},
		{"another sign of LIKE too", MemberFilter{Query: "%"}, ""},
		{"by the beginning of the name", MemberFilter{Query: "li w"}, "wei.li"},
		{"by a number as written", MemberFilter{Query: "+86 138-0013-8000"}, "wei.li"},
		{"by a mail address", MemberFilter{Query: "Ann@EXAMPLE.com"}, "ann"},
		{"a page", MemberFilter{Limit: 1}, "wei.li"},
		{"the pages after", MemberFilter{After: wei.ID}, "wei_xu ann"},
		{"what no database can hold", MemberFilter{Query: "\x00\xff"}, ""},
	} {
		found, err := p.members.Find(t.Context(), tt.filter)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		var accounts []string
		for _, m := range found {
			accounts = append(accounts, m.Account)
		}
		if got := strings.Join(accounts, " "); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestWhoIsNotThereIsNotFound(t *testing.T) {
	p := newPeople(t)
	_, err := p.members.Get(t.Context(), 1)
	wantCode(t, err, problem.NotFound)
	_, err = p.members.ByAccount(t.Context(), "wei\x00")
	wantCode(t, err, problem.NotFound)
	_, err = p.members.Update(t.Context(), 1, MemberChange{})
	wantCode(t, err, problem.NotFound)
	wantCode(t, p.members.SetPassword(t.Context(), 1, "", "three blind mice"), problem.NotFound)
}

func TestUpdateChangesWhatIsNamed(t *testing.T) {
	p := newPeople(t)
	m := p.register(t, Registration{Account: "wei", Birthday: "1990-05-01", Attributes: map[string]any{"grade": "gold", "points": 1}})
	p.time = p.time.Add(time.Hour)
	zone, none := "Europe/Berlin", ""
	got, err := p.members.Update(t.Context(), m.ID, MemberChange{
		TimeZone: &zone, Birthday: &none, Attributes: map[string]any{"points": 2, "grade": nil, "city": "Berlin"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := m
	want.TimeZone, want.Birthday, want.UpdatedAt = zone, "", p.time
	want.Attributes = map[string]any{"points": 2.0, "city": "Berlin"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("updated (-want +got):\n%s", diff)
	}
	_, err = p.members.Update(t.Context(), m.ID, MemberChange{Locale: &zone, CustomerType: &zone})
	wantField(t, err, "locale", "known")
	wantField(t, err, "customer_type", "options")
}

func TestWishesAreChangedAndTakenBack(t *testing.T) {
	p := newPeople(t)
	m := p.register(t, Registration{Account: "wei"})
	from, until := pointer(Clock(0)), pointer(Clock(420))
	got, err := p.members.Update(t.Context(), m.ID, MemberChange{QuietFrom: &from, QuietUntil: &until, DigestHour: pointer(18)})
	if err != nil || got.QuietFrom == nil || *got.QuietFrom != 0 || *got.QuietUntil != 420 || got.DigestHour != 18 {
		t.Fatalf("changed %+v, %v", got, err)
	}
	name := "Wei"
	if got, err = p.members.Update(t.Context(), m.ID, MemberChange{DisplayName: &name}); err != nil || got.QuietUntil == nil || got.DigestHour != 18 {
		t.Errorf("another change took them away: %+v, %v", got, err)
	}
	_, err = p.members.Update(t.Context(), m.ID, MemberChange{QuietUntil: new(*Clock)})
	wantField(t, err, "quiet_until", "required")
	if got, err = p.members.Update(t.Context(), m.ID, MemberChange{QuietFrom: new(*Clock), QuietUntil: new(*Clock)}); err != nil || got.QuietFrom != nil || got.QuietUntil != nil {
		t.Errorf("taken back: %+v, %v", got, err)
	}
}

func TestOnlyTheRightPasswordSignsIn(t *testing.T) {
	p := newPeople(t)
	m := p.register(t, Registration{Account: "wei", Password: "three blind mice"})
	p.register(t, Registration{Account: "ann"}) // no password
	if got, err := p.members.Authenticate(t.Context(), " WEI", "three blind mice", "203.0.113.7"); err != nil || got.ID != m.ID {
		t.Fatalf("signed in as %+v, %v", got, err)
	}
	var first string
	for _, try := range [][2]string{{"wei", "three blind mouse"}, {"nobody", "three blind mice"}, {"ann", ""}, {"ann", "three blind mice"}, {"wei\x00", "x"}} {
		_, err := p.members.Authenticate(t.Context(), try[0], try[1], "203.0.113.8")
		wantCode(t, err, problem.Unauthorized)
		if first == "" {
			first = err.Error()
		}
		if err.Error() != first {
			t.Errorf("%q gives %q, want %q as for a wrong password", try, err, first)
		}
	}
}

func TestGuessingIsThrottledByAccountAndByAddress(t *testing.T) {
	p := newPeople(t)
	p.register(t, Registration{Account: "wei", Password: "three blind mice"})
	guess := func(account, password, remote string) error {
		_, err := p.members.Authenticate(t.Context(), account, password, remote)
		return err
	}
	untilThrottled := func(account func(try int) string, remote string) {
		t.Helper()
		for try := range 100 {
			if problem.CodeOf(guess(account(try), "a wrong one", remote)) == problem.Throttled {
				return
			}
		}
		t.Fatal("100 wrong passwords were not too many")
	}
	untilThrottled(func(int) string { return "wei" }, "203.0.113.7")
	wantCode(t, guess("wei", "three blind mice", "203.0.113.7"), problem.Throttled)
	if err := guess("wei", "three blind mice", "203.0.113.99"); err != nil {
		t.Errorf("its owner, elsewhere, was locked out by the guesses: %v", err)
	}

	untilThrottled(func(try int) string { return fmt.Sprintf("somebody%d", try) }, "203.0.113.8")
	wantCode(t, guess("another", "three blind mice", "203.0.113.8"), problem.Throttled)

	p.time = p.time.Add(24 * time.Hour)
	if err := guess("wei", "three blind mice", "203.0.113.8"); err != nil {
		t.Errorf("a day later: %v", err)
	}
}

func TestAPasswordIsChangedByWhoKnowsIt(t *testing.T) {
	p := newPeople(t)
	m := p.register(t, Registration{Account: "wei"})
	if err := p.members.SetPassword(t.Context(), m.ID, "", "three blind mice"); err != nil {
		t.Fatalf("the first password: %v", err)
	}
	wantField(t, p.members.SetPassword(t.Context(), m.ID, "", "see how they run"), "old_password", "wrong")
	wantField(t, p.members.SetPassword(t.Context(), m.ID, "three deaf mice", "see how they run"), "old_password", "wrong")
	wantField(t, p.members.SetPassword(t.Context(), m.ID, "three blind mice", "run"), "password", "min_len")
	if err := p.members.SetPassword(t.Context(), m.ID, "three blind mice", "see how they run"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.members.Authenticate(t.Context(), "wei", "see how they run", "203.0.113.7"); err != nil {
		t.Errorf("the new password: %v", err)
	}
	_, err := p.members.Authenticate(t.Context(), "wei", "three blind mice", "203.0.113.7")
	wantCode(t, err, problem.Unauthorized)
}

func TestARegistrationThatIsGivenUpLeavesNothing(t *testing.T) {
	p := newPeople(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.members.Register(ctx, Registration{Account: "wei"}); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if n, err := p.members.Count(t.Context()); n != 0 || err != nil {
		t.Errorf("%d members, %v", n, err)
	}
}
