package segment_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"herald/campaigns/segment"
	"herald/postgres/pgtest"
)

// person is a member as the oracle knows them.
type person struct {
	id         int64
	number     int // makes the account another than those before it
	account    string
	kind       string
	name       string
	locale     string
	zone       string
	birthday   string // empty: none
	created    time.Time
	attributes map[string]any
	subscribed []order
}

type order struct {
	trigger string
	params  map[string]any
	inForce bool
}

var at = time.Date(2026, 3, 1, 9, 30, 0, 123_000, time.UTC)

// TestSQLAgreesWithCEL asks PostgreSQL and CEL's own evaluator the same
// questions about the same members.
func TestSQLAgreesWithCEL(t *testing.T) {
	pool := pgtest.New(t)
	for _, trigger := range []string{"price_drop", "low_balance"} {
		if _, err := pool.Exec(t.Context(), `INSERT INTO triggers (name, event_type, definition) VALUES ($1, 'x', '{}')`, trigger); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		people := rapid.SliceOfN(rapid.Custom(drawPerson), 1, 12).Draw(rt, "members")
		store(t, pool, people)
		for range 8 {
			condition := drawTruth(rt, 3)
			s, err := segment.Compile(condition)
			if err != nil {
				rt.Fatalf("%s: %v", condition, err)
			}
			met := ask(rt, pool, s)
			for _, p := range people {
				if want := evaluate(rt, condition, p); met[p.id] != want {
					where, args := s.SQL(at, time.UTC)
					rt.Fatalf("%s\nof %+v: SQL says %v, CEL says %v\n%s\n%v", condition, p, met[p.id], want, where, args)
				}
			}
		}
	})
}

// TestNamedConditions is the same for conditions that marketers write.
func TestNamedConditions(t *testing.T) {
	pool := pgtest.New(t)
	if _, err := pool.Exec(t.Context(), `INSERT INTO triggers (name, event_type, definition) VALUES ('price_drop', 'x', '{}')`); err != nil {
		t.Fatal(err)
	}
	people := []person{
		{
			account: "wei", kind: "person", locale: "zh-CN", zone: "Asia/Shanghai", birthday: "1990-03-01", created: at.Add(-time.Hour),
			attributes: map[string]any{"grade": "gold", "points": 120.0, "vip": true, "tags": []any{"tea", 7.0}, "address": map[string]any{"city": "Hangzhou"}},
			subscribed: []order{{"price_drop", map[string]any{"product": "kettle", "target": 49.0}, true}},
		},
		{
			account: "leap", kind: "person", locale: "en", birthday: "2004-02-29", created: at.AddDate(-1, 0, 0),
			attributes: map[string]any{"grade": nil, "points": "many"}, subscribed: []order{{"price_drop", map[string]any{"product": "kettle"}, false}},
		},
		{account: "firm", kind: "company", name: "Firm 水壶", locale: "en-GB", created: at.AddDate(0, -3, 0), attributes: map[string]any{}},
	}
	store(t, pool, people)
	for condition, want := range map[string]string{
		`attributes.grade == "gold"`:                                    "wei",
		`attributes.grade != "gold"`:                                    "", // absent and null are neither
		`!(attributes.grade == "gold")`:                                 "",
		`has(attributes.grade)`:                                         "wei",
		`!has(attributes.grade)`:                                        "leap firm",
		`attributes.points >= 100`:                                      "wei",
		`attributes.points < 100`:                                       "",
		`attributes.points != 100`:                                      "wei leap", // another kind is another value
		`attributes.vip`:                                                "wei",
		`attributes.vip == true && member.age == 36`:                    "wei",
		`"tea" in attributes.tags`:                                      "wei",
		`7 in attributes.tags`:                                          "wei",
		`"city" in attributes.address`:                                  "wei",
		`attributes.address.city.startsWith("Hang")`:                    "wei",
		`has(attributes.address.street)`:                                "",
		`attributes.points in [120, "many"]`:                            "wei leap",
		`member.customer_type == "company"`:                             "firm",
		`member.display_name.contains("水")`:                             "firm",
		`member.locale.startsWith("en")`:                                "leap firm",
		`member.birth_month == 2 && member.birth_day == 29`:             "leap",
		`member.birthday >= "2000-01-01"`:                               "leap",
		`member.age >= 22`:                                              "wei leap",
		`!has(member.birthday)`:                                         "firm",
		`member.age < 200 || member.account == "firm-2"`:                "wei leap firm",
		`member.created_at > now - duration("720h")`:                    "wei",
		`member.created_at < timestamp("2026-01-01T08:00:00+08:00")`:    "leap firm",
		`subscribed("price_drop")`:                                      "wei",
		`subscribed("price_drop", {"product": "kettle", "target": 49})`: "wei",
		`subscribed("price_drop", {"target": 50})`:                      "",
		`!subscribed("price_drop")`:                                     "leap firm",
		`true`:                                                          "wei leap firm",
	} {
		s, err := segment.Compile(condition)
		if err != nil {
			t.Errorf("%s: %v", condition, err)
			continue
		}
		met := ask(t, pool, s)
		var got []string
		for _, p := range people {
			if met[p.id] {
				got = append(got, p.account)
			}
			if oracle := evaluate(t, condition, p); oracle != met[p.id] {
				t.Errorf("%s of %s: SQL says %v, CEL says %v", condition, p.account, met[p.id], oracle)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", condition, got, want)
		}
	}
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func ask(t failer, pool *pgxpool.Pool, s *segment.Segment) map[int64]bool {
	t.Helper()
	where, args := s.SQL(at, time.UTC)
	rows, err := pool.Query(noContext, `SELECT m.id FROM members m WHERE `+where, args...)
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		t.Fatalf("%s %v: %v", where, args, err)
	}
	met := map[int64]bool{}
	for _, id := range ids {
		met[id] = true
	}
	return met
}

// store replaces the members in the database, and gives them their ids.
func store(t *testing.T, pool *pgxpool.Pool, people []person) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), `DELETE FROM members`); err != nil {
		t.Fatal(err)
	}
	for i := range people {
		p := &people[i]
		p.number = i
		err := pool.QueryRow(t.Context(), `
			INSERT INTO members (account, customer_type, display_name, locale, time_zone, birthday, attributes, created_at)
			VALUES ($1, coalesce(nullif($2, ''), 'person'), $3, $4, $5, nullif($6, '')::date, $7, $8) RETURNING id`,
			fmt.Sprintf("%s-%d", p.account, i),
			p.kind, p.name, p.locale, p.zone, p.birthday, p.attributes, p.created).Scan(&p.id)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range p.subscribed {
			params, err := json.Marshal(o.params)
			if err != nil {
				t.Fatal(err)
			}
			_, err = pool.Exec(t.Context(), `
				INSERT INTO subscriptions (member_id, trigger, params, channels, valid_from, paused, origin)
				VALUES ($1, $2, $3, '{email}', $4, $5, 'api')`, p.id, o.trigger, params, at.Add(-time.Minute), !o.inForce)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// evaluate asks CEL; an error is what SQL calls NULL.
func evaluate(t failer, condition string, p person) bool {
	t.Helper()
	has := func(args ...ref.Val) ref.Val {
		for _, o := range p.subscribed {
			if o.inForce && o.trigger == string(args[0].(types.String)) && holds(o.params, args[1:]) {
				return types.True
			}
		}
		return types.False
	}
	env, err := cel.NewEnv(
		cel.Variable("member", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("attributes", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("now", cel.TimestampType),
		cel.Function("subscribed",
			cel.Overload("subscribed_to", []*cel.Type{cel.StringType}, cel.BoolType, cel.UnaryBinding(func(v ref.Val) ref.Val { return has(v) })),
			cel.Overload("subscribed_with", []*cel.Type{cel.StringType, cel.MapType(cel.StringType, cel.DynType)}, cel.BoolType,
				cel.BinaryBinding(func(a, b ref.Val) ref.Val { return has(a, b) }))),
	)
	if err != nil {
		t.Fatalf("%v", err)
	}
	parsed, issues := env.Parse(condition)
	if issues.Err() != nil {
		t.Fatalf("%s: %v", condition, issues.Err())
	}
	program, err := env.Program(parsed)
	if err != nil {
		t.Fatalf("%s: %v", condition, err)
	}
	result, _, err := program.Eval(map[string]any{"member": p.profile(t), "attributes": withoutNulls(p.attributes), "now": at})
	return err == nil && result == types.True
}

func holds(params map[string]any, wanted []ref.Val) bool {
	if len(wanted) == 0 {
		return true
	}
	want, err := wanted[0].ConvertToNative(mapType)
	if err != nil {
		return false
	}
	for name, v := range want.(map[string]any) {
		if types.DefaultTypeAdapter.NativeToValue(params[name]).Equal(types.DefaultTypeAdapter.NativeToValue(v)) != types.True {
			return false
		}
	}
	return true
}

func (p person) profile(t failer) map[string]any {
	kind := p.kind
	if kind == "" {
		kind = "person"
	}
	member := map[string]any{
		"account": fmt.Sprintf("%s-%d", p.account, p.number), "customer_type": kind, "display_name": p.name,
		"locale": p.locale, "time_zone": p.zone, "created_at": p.created,
	}
	if p.birthday != "" {
		born, err := time.Parse(time.DateOnly, p.birthday)
		if err != nil {
			t.Fatalf("%v", err)
		}
		member["birthday"], member["birth_month"], member["birth_day"] = p.birthday, int(born.Month()), born.Day()
		member["age"] = yearsOn(at, born)
	}
	return member
}

// yearsOn counts birthdays up to a day, one by one.
func yearsOn(day, born time.Time) int {
	years := 0
	for {
		next := time.Date(born.Year()+years+1, born.Month(), born.Day(), 0, 0, 0, 0, time.UTC)
		if next.Month() != born.Month() { // there is no 29 February
			next = next.AddDate(0, 0, -1)
		}
		if next.After(day) {
			return years
		}
		years++
	}
}

func withoutNulls(m map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		switch v := v.(type) {
		case nil:
		case map[string]any:
			out[k] = withoutNulls(v)
		default:
			out[k] = v
		}
	}
	return out
}
