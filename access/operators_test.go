package access

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"herald/postgres/pgtest"
	"herald/problem"
)

func newOperators(t *testing.T) (*Operators, *clock) {
	t.Helper()
	clock, pool, passwords := newClock(), pgtest.New(t), NewPasswords(2)
	passwords.cost = cost{memory: 8, passes: 1, lanes: 1} // what they cost is tested elsewhere
	return NewOperators(pool, passwords, NewThrottle(pool, clock.now), clock.now), clock
}

const password = "see how they run"

func create(t *testing.T, o *Operators, name string, role Role) Operator {
	t.Helper()
	made, err := o.Create(t.Context(), name, password, role)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestRolesIncludeTheOnesBefore(t *testing.T) {
	roles := []Role{OperatorRole, MarketerRole, AdminRole}
	for i, r := range roles {
		for j, other := range roles {
			if r.Includes(other) != (i >= j) {
				t.Errorf("%s includes %s: %t", r, other, r.Includes(other))
			}
		}
		if r.Includes("robot") || Role("robot").Includes(r) || Role("").Includes(r) {
			t.Errorf("%s and a role that is none include each other", r)
		}
	}
	if Role("").Includes("") {
		t.Error("no role includes no role")
	}
}

func TestAnOperatorSignsIn(t *testing.T) {
	o, clock := newOperators(t)
	made := create(t, o, " Ann ", MarketerRole)
	if made.Name != "ann" || made.Role != MarketerRole || !made.CreatedAt.Equal(clock.now()) || made.DisabledAt != nil {
		t.Errorf("made %+v", made)
	}
	for _, name := range []string{"ann", "ANN ", "\uff21nn"} { // the last has a full-width A
		if got, err := o.Authenticate(t.Context(), name, password, "203.0.113.7"); err != nil || got.ID != made.ID {
			t.Errorf("%q signs in as %+v (%v)", name, got, err)
		}
	}
	create(t, o, "李伟", OperatorRole)
	if _, err := o.Authenticate(t.Context(), "李伟", password, "203.0.113.7"); err != nil {
		t.Error(err)
	}
}

func TestEveryWrongSignInReadsTheSame(t *testing.T) {
	o, _ := newOperators(t)
	create(t, o, "ann", AdminRole)
	create(t, o, "bob", AdminRole)
	if err := o.Disable(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	const want = "the name or the password is wrong"
	for _, try := range [][2]string{{"ann", "wrong"}, {"ann", ""}, {"nobody", password}, {"", ""}, {"ann\x00", password}, {"a nn", password}, {strings.Repeat("a", 1000), password}, {"bob", password}} {
		_, err := o.Authenticate(t.Context(), try[0], try[1], "203.0.113.7")
		wantCode(t, err, problem.Unauthorized)
		if err.Error() != want {
			t.Errorf("%.10q: %v", try[0], err)
		}
	}
}

func TestGuessingAnOperatorIsThrottled(t *testing.T) {
	o, clock := newOperators(t)
	create(t, o, "ann", AdminRole)
	for range freeTries {
		_, err := o.Authenticate(t.Context(), "ann", "wrong", "203.0.113.7")
		wantCode(t, err, problem.Unauthorized)
	}
	if _, err := o.Authenticate(t.Context(), "ann", password, "203.0.113.99"); err != nil {
		t.Errorf("ann herself, elsewhere: %v", err)
	}
	_, err := o.Authenticate(t.Context(), "ann", password, "203.0.113.7")
	clock.pass(after(t, err))
	if _, err := o.Authenticate(t.Context(), "ann", password, "203.0.113.7"); err != nil {
		t.Errorf("having waited: %v", err)
	}
	for range freeTries { // the right password has cleared the count
		_, err := o.Authenticate(t.Context(), "ann", "wrong", "203.0.113.7")
		wantCode(t, err, problem.Unauthorized)
	}
	_, err = o.Authenticate(t.Context(), "ann", "wrong", "203.0.113.7")
	wantCode(t, err, problem.Throttled)
	if err := o.SetPassword(t.Context(), "ann", "see how they fly"); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Authenticate(t.Context(), "ann", "see how they fly", "203.0.113.7"); err != nil {
		t.Errorf("with a new password: %v", err)
	}
}

func TestGuessingFromManyNetworksIsThrottledToo(t *testing.T) {
	o, clock := newOperators(t)
	create(t, o, "ann", AdminRole)
	for i := range freeAccountTries {
		_, err := o.Authenticate(t.Context(), "ann", "wrong", fmt.Sprint("203.0.113.", i))
		wantCode(t, err, problem.Unauthorized)
	}
	_, err := o.Authenticate(t.Context(), "ann", "wrong", "198.51.100.1")
	clock.pass(after(t, err))
	if _, err := o.Authenticate(t.Context(), "ann", password, "198.51.100.1"); err != nil {
		t.Errorf("having waited: %v", err)
	}
	if _, err := o.Authenticate(t.Context(), "ann", "wrong", "198.51.100.2"); problem.CodeOf(err) != problem.Unauthorized {
		t.Errorf("after a good sign-in: %v", err)
	}
}

func TestNobodyCanSpellAnothersNetwork(t *testing.T) {
	throttle := NewThrottle(pgtest.New(t), newClock().now)
	for range 2 * freeTries {
		_ = throttle.SignIn(t.Context(), "member:wei from 203.0.113.7", "198.51.100.1")
		_ = throttle.SignIn(t.Context(), "member:wei from ", "203.0.113.8")
	}
	if err := throttle.SignIn(t.Context(), "member:wei", "203.0.113.7"); err != nil {
		t.Errorf("locked out by made-up accounts: %v", err)
	}
}

func TestOnesOwnAccountDoesNotClearAnAddress(t *testing.T) {
	o, _ := newOperators(t)
	create(t, o, "eve", OperatorRole)
	for i := range freeAddressTries {
		if _, err := o.Authenticate(t.Context(), "eve", password, "203.0.113.7"); err != nil {
			t.Fatal(err)
		}
		_, err := o.Authenticate(t.Context(), "ann"+strings.Repeat("n", i), "a guess", "203.0.113.7")
		wantCode(t, err, problem.Unauthorized)
	}
	_, err := o.Authenticate(t.Context(), "bob", "a guess", "203.0.113.7")
	wantCode(t, err, problem.Throttled)
}

func TestAnOperatorIsCheckedBeforeItIsMade(t *testing.T) {
	o, _ := newOperators(t)
	create(t, o, "ann", AdminRole)
	tests := map[string]struct {
		name, clear string
		role        Role
		want        []string
	}{
		"everything wrong":               {"a b", "short", "robot", []string{"name", "charset", "password", "min_len", "role", "options"}},
		"no name":                        {" ", password, AdminRole, []string{"name", "charset"}},
		"a long name":                    {strings.Repeat("a", 65), password, AdminRole, []string{"name", "charset"}},
		"a long password":                {"bob", strings.Repeat("run ", 33), AdminRole, []string{"password", "max_len"}},
		"the name in the password":       {"bob", "I am Bob the builder", AdminRole, []string{"password", "account"}},
		"a control character":            {"bob", "see how\tthey run", AdminRole, []string{"password", "charset"}},
		"a password of 10 bytes, not 10": {"bob", "三只盲鼠跑", AdminRole, []string{"password", "min_len"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := o.Create(t.Context(), test.name, test.clear, test.role)
			wantFields(t, err, test.want...)
		})
	}
	_, err := o.Create(t.Context(), "ANN", password, AdminRole)
	wantCode(t, err, problem.Conflict)
	wantFields(t, o.SetPassword(t.Context(), "ann", "short"), "password", "min_len")
}

func TestOperatorsAreListedAndFound(t *testing.T) {
	o, clock := newOperators(t)
	bob, ann := create(t, o, "bob", OperatorRole), create(t, o, "ann", AdminRole)
	if err := o.Disable(t.Context(), "Bob"); err != nil {
		t.Fatal(err)
	}
	at := clock.now()
	clock.pass(1e9)
	if err := o.Disable(t.Context(), "bob"); err != nil { // again changes nothing
		t.Fatal(err)
	}
	all, err := o.List(t.Context())
	if err != nil || len(all) != 2 || all[0].ID != ann.ID || all[1].ID != bob.ID {
		t.Errorf("the list is %+v (%v)", all, err)
	}
	if got, err := o.Get(t.Context(), bob.ID); err != nil || got.DisabledAt == nil || !got.DisabledAt.Equal(at) {
		t.Errorf("got %+v (%v)", got, err)
	}
	_, err = o.Get(t.Context(), 999)
	wantCode(t, err, problem.NotFound)
	if err := o.Enable(t.Context(), "Bob"); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Authenticate(t.Context(), "bob", password, "203.0.113.7"); err != nil {
		t.Errorf("after being let in again: %v", err)
	}
	wantCode(t, o.Disable(t.Context(), "nobody"), problem.NotFound)
	wantCode(t, o.Enable(t.Context(), "nobody"), problem.NotFound)
	wantCode(t, o.SetPassword(t.Context(), "nobody", password), problem.NotFound)
}

func TestASignInThatIsGivenUpStillCounts(t *testing.T) {
	o, _ := newOperators(t)
	create(t, o, "ann", AdminRole)
	o.passwords = NewPasswords(1)
	o.passwords.slots <- struct{}{} // never free
	for i := range freeTries {
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan error)
		go func() {
			_, err := o.Authenticate(ctx, "ann", "a guess", "203.0.113.7")
			gaveUp <- err
		}()
		for counted := 0; counted <= i; { // the try counts before the password is looked at
			err := o.pool.QueryRow(t.Context(), `SELECT coalesce(max(failures), 0) FROM sign_in_failures WHERE subject = 'operator:ann from 203.0.113.7'`).Scan(&counted)
			if err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want that it was given up", err)
		}
	}
	_, err := o.Authenticate(t.Context(), "ann", "a guess", "203.0.113.7")
	wantCode(t, err, problem.Throttled)
}
