package modem

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"herald/postgres/pgtest"
)

// storeAt is a store whose clock stands still.
func storeAt(t *testing.T, at time.Time) *Store {
	t.Helper()
	s := NewStore(pgtest.New(t))
	s.now = func() time.Time { return at }
	return s
}

var noon = time.Date(2026, 3, 15, 12, 0, 0, 0, time.UTC)

func aWhole(of int) whole {
	return whole{Delivery: uuid.Must(uuid.NewV7()), Account: "modem", SIM: "sim", Recipient: hashNumber("+8613800138000"), Text: 1, Of: of}
}

func upTo(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

var noQuotas = Quotas{Zone: time.UTC}

func TestReferencesComeInTurnAndNeverAsZero(t *testing.T) {
	s := storeAt(t, noon)
	want := byte(0)
	for range 90 {
		parts, err := s.begin(t.Context(), aWhole(3), upTo(3), noQuotas, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parts {
			if want = want%255 + 1; p.Reference != want || p.State != waiting {
				t.Fatalf("a part has reference %d and is %s, want %d", p.Reference, p.State, want)
			}
		}
	}
}

// A centre tells duplicates by reference and recipient, and may know of each
// reference the newest only.
func TestAReferenceIsGivenAgainAsLateAsCanBe(t *testing.T) {
	s := storeAt(t, noon)
	ctx := t.Context()
	number := 0
	send := func(recipient string, took bool) byte {
		t.Helper()
		number++
		s.now = func() time.Time { return noon.Add(time.Duration(number) * time.Second) }
		w := aWhole(1)
		w.Recipient = hashNumber(recipient)
		parts, err := s.begin(ctx, w, upTo(1), noQuotas, false)
		must(t, err)
		must(t, s.intend(ctx, w, 0))
		if took {
			must(t, s.took(ctx, w, 0, parts[0].Reference, "id"))
		}
		return parts[0].Reference
	}
	inDoubt := send("+8613800138000", false)
	theirs := map[byte]int{send("+8613900139000", true): 1}
	for i := range 270 {
		if i%3 == 0 { // every reference that others leave would be one of these
			theirs[send("+8613900139000", true)]++
			continue
		}
		if r := send("+8613800138001", true); r == inDoubt {
			t.Fatalf("a reference in doubt is given again after %d", i)
		}
	}
	for r, n := range theirs {
		if n > 1 || r == inDoubt {
			t.Errorf("a recipient of %d messages has reference %d %d times", len(theirs), r, n)
		}
	}
}

func TestAPartInDoubtKeepsItsReference(t *testing.T) {
	s, w := storeAt(t, noon), aWhole(2)
	ctx := t.Context()
	first, err := s.begin(ctx, w, upTo(2), noQuotas, false)
	must(t, err)
	must(t, s.intend(ctx, w, 0))
	must(t, s.took(ctx, w, 0, first[0].Reference, "a"))
	must(t, s.intend(ctx, w, 1))
	again, err := s.begin(ctx, w, upTo(2), noQuotas, false)
	must(t, err)
	if again[0].State != accepted || again[0].ProviderID != "a" || again[1].State != doubt || again[1].Reference != first[1].Reference {
		t.Errorf("begun again it is %+v, at first %+v", again, first)
	}
	must(t, s.refuse(ctx, w, 1, "CMS 21"))
	again, err = s.begin(ctx, w, []int{1}, noQuotas, false)
	must(t, err)
	if again[0].State != waiting || again[0].Reference == first[1].Reference {
		t.Errorf("after a refusal it is %+v", again[0])
	}
	w.Text++
	if again, err = s.begin(ctx, w, upTo(2), noQuotas, false); err != nil || again[0].State != waiting || again[1].State != waiting {
		t.Errorf("another text is %+v, %v", again, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *Store) used(t *testing.T, q Quotas) (today, thisMonth int) {
	t.Helper()
	u, err := s.usage(t.Context(), "sim", q)
	must(t, err)
	return u.Today, u.ThisMonth
}

// Pitfall 8: what is counted are parts. Two nodes never pass a quota together,
// and reach it.
func TestQuotasAreExactUnderTwoNodes(t *testing.T) {
	db := pgtest.New(t)
	q := Quotas{Daily: 50, Monthly: 1000, Zone: time.UTC}
	var sent, refusals atomic.Int64
	var all sync.WaitGroup
	for range 2 { // nodes
		s := NewStore(db)
		s.now = func() time.Time { return noon }
		for range 4 {
			all.Go(func() {
				for range 10 {
					_, err := s.begin(context.Background(), aWhole(2), upTo(2), q, false)
					var full *exhausted
					switch {
					case err == nil:
						sent.Add(2)
					case errors.As(err, &full) && full.period == "2026-03-15":
						refusals.Add(1)
					default:
						t.Error(err)
					}
				}
			})
		}
	}
	all.Wait()
	s := NewStore(db)
	s.now = func() time.Time { return noon }
	if today, month := s.used(t, q); sent.Load() != 50 || refusals.Load() != 55 || today != 50 || month != 50 {
		t.Errorf("sent %d parts, refused %d messages, counted %d and %d", sent.Load(), refusals.Load(), today, month)
	}
}

// Pitfall 35: a day is one of the SIM's country, and a restart forgets nothing.
func TestAQuotaBeginsAnewAtLocalMidnight(t *testing.T) {
	db := pgtest.New(t)
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	must(t, err)
	q := Quotas{Daily: 2, Monthly: 3, Zone: shanghai}
	begin := func(at time.Time) error {
		s := NewStore(db) // as after a restart
		s.now = func() time.Time { return at }
		_, err := s.begin(t.Context(), aWhole(1), upTo(1), q, false)
		return err
	}
	var full *exhausted
	evening := time.Date(2026, 3, 30, 15, 59, 0, 0, time.UTC) // 23:59 there
	must(t, begin(evening))
	must(t, begin(evening))
	if err := begin(evening); !errors.As(err, &full) || full.period != "2026-03-30" {
		t.Errorf("the third of a day: %v", err)
	}
	must(t, begin(evening.Add(time.Minute)))
	if err := begin(evening.Add(2 * time.Minute)); !errors.As(err, &full) || full.period != "2026-03" {
		t.Errorf("the fourth of a month: %v", err)
	}
	must(t, begin(evening.Add(24*time.Hour+time.Minute))) // 1 April there
	if day, month := q.ends(evening); !day.Equal(evening.Add(time.Minute)) || !month.Equal(evening.Add(24*time.Hour+time.Minute)) {
		t.Errorf("they end at %v and %v", day, month)
	}
	s := NewStore(db)
	s.now = func() time.Time { return evening }
	if today, month := s.used(t, q); today != 2 || month != 3 {
		t.Errorf("counted are %d and %d: what was refused counts nowhere", today, month)
	}
}

func TestWhatWasNotSentIsGivenBack(t *testing.T) {
	s, w := storeAt(t, noon), aWhole(4)
	ctx := t.Context()
	_, err := s.begin(ctx, w, upTo(4), noQuotas, false)
	must(t, err)
	must(t, s.intend(ctx, w, 0))
	must(t, s.took(ctx, w, 0, 1, "a"))
	must(t, s.intend(ctx, w, 1))
	must(t, s.refuse(ctx, w, 1, "CMS 21"))
	must(t, s.refuse(ctx, w, 1, "CMS 21")) // once only
	must(t, s.intend(ctx, w, 2))           // and stays in doubt
	must(t, s.release(ctx, w))
	if today, month := s.used(t, noQuotas); today != 2 || month != 2 {
		t.Errorf("counted are %d and %d, want what was sent or may have been", today, month)
	}
	if err := s.intend(ctx, w, 3); err == nil {
		t.Error("what was given back can still be sent")
	}

	lost := aWhole(2)
	_, err = s.begin(ctx, lost, upTo(2), noQuotas, false)
	must(t, err)
	s.now = func() time.Time { return noon.Add(2 * time.Hour) }
	if n, err := s.Sweep(ctx); err != nil || n != 2 {
		t.Errorf("swept %d, %v", n, err)
	}
	if today, _ := s.used(t, noQuotas); today != 2 {
		t.Errorf("counted are %d", today)
	}
	s.now = func() time.Time { return noon.AddDate(2, 0, 0) }
	if _, err := s.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	var rows int
	must(t, s.db.QueryRow(ctx, `SELECT (SELECT count(*) FROM modem_parts) + (SELECT count(*) FROM modem_quotas)`).Scan(&rows))
	if rows != 0 {
		t.Errorf("%d rows are left after two years", rows)
	}
}

func TestAReportFindsItsPart(t *testing.T) {
	s := storeAt(t, noon)
	ctx := t.Context()
	sendAt := func(at time.Time, number string, reference byte, took bool) whole {
		s.now = func() time.Time { return at }
		w := aWhole(1)
		w.Recipient = hashNumber(number)
		_, err := s.begin(ctx, w, upTo(1), noQuotas, false)
		must(t, err)
		must(t, s.intend(ctx, w, 0))
		if took {
			must(t, s.took(ctx, w, 0, reference, "id"))
		}
		return w
	}
	old := sendAt(noon.Add(-72*time.Hour), "+8613800138000", 7, true)
	newer := sendAt(noon, "+8613800138000", 7, true)
	other := sendAt(noon, "+8613900139000", 7, true)
	inDoubt := sendAt(noon, "+4479460000000", 0, false)
	before := sendAt(noon, "+4479460000001", 9, true)
	over := sendAt(noon, "+4479460000002", 9, true)
	must(t, s.lose(ctx, over, 0))
	for _, number := range []string{"+4479460000001", "+4479460000002"} {
		after := sendAt(noon.Add(time.Hour), number, 0, false) // in doubt, with a reference that came again
		_, err := s.db.Exec(ctx, `UPDATE modem_parts SET reference = 9 WHERE delivery_id = $1`, after.Delivery)
		must(t, err)
	}
	for name, c := range map[string]struct {
		number    string
		reference byte
		at        time.Time
		want      uuid.UUID
	}{
		"the newest of its reference":      {"+8613800138000", 7, noon.Add(time.Minute), newer.Delivery},
		"of its time":                      {"+8613800138000", 7, noon.Add(-71 * time.Hour), old.Delivery},
		"of its recipient":                 {"+8613900139000", 7, noon, other.Delivery},
		"with the number as it is dialled": {"13900139000", 7, noon, other.Delivery},
		"without a time":                   {"+8613900139000", 7, time.Time{}, other.Delivery},
		"in doubt, by another reference":   {"+4479460000000", 99, noon, inDoubt.Delivery},
		"of what went at its time":         {"+4479460000001", 9, noon.Add(time.Second), before.Delivery},
		"of what is over":                  {"+4479460000002", 9, noon.Add(time.Second), uuid.Nil},
		"of nobody":                        {"+8613800138001", 7, noon, uuid.Nil},
		"of another reference":             {"+8613900139000", 8, noon, uuid.Nil},
	} {
		got, found, err := s.find(ctx, "sim", c.reference, hashNumber(c.number), c.at)
		if err != nil || found != (c.want != uuid.Nil) || got.Delivery != c.want {
			t.Errorf("%s: %v, %v, %v", name, got.Delivery, found, err)
		}
	}
}

func TestAPINIsRememberedUntilItWasRight(t *testing.T) {
	s := storeAt(t, noon)
	for _, want := range []bool{true, false, false} {
		if may, err := s.Try(t.Context(), "key"); err != nil || may != want {
			t.Errorf("it may be tried: %v, %v", may, err)
		}
	}
	must(t, s.Right(t.Context(), "key"))
	if may, err := s.Try(t.Context(), "key"); err != nil || !may {
		t.Errorf("after it was right: %v, %v", may, err)
	}
	must(t, s.ForgetPINs(t.Context()))
	if may, err := s.Try(t.Context(), "key"); err != nil || !may {
		t.Errorf("after an operator wants it: %v, %v", may, err)
	}
}

func TestWhoseReferencesAModemHasIsLearnt(t *testing.T) {
	s := storeAt(t, noon)
	keeps := func() bool {
		k, err := s.keeps(t.Context(), "sim")
		must(t, err)
		return k
	}
	if keeps() {
		t.Error("nothing is known, and it is trusted")
	}
	_, err := s.begin(t.Context(), aWhole(1), upTo(1), noQuotas, false)
	must(t, err)
	must(t, s.learn(t.Context(), "sim", false))
	if !keeps() {
		t.Error("it keeps ours, and is not trusted")
	}
	must(t, s.learn(t.Context(), "sim", true))
	if keeps() {
		t.Error("it has its own, and is trusted")
	}
}
