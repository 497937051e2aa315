package subscriptions

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"herald/problem"
)

func (p *people) take(t testing.TB, file string, o ImportOptions) ImportReport {
	t.Helper()
	if o.File == "" {
		o.File = "members.csv"
	}
	report, err := p.members.Import(t.Context(), strings.NewReader(file), o)
	if err != nil {
		t.Fatalf("import: %v", err)
	}
	if report.Rows != report.Created+report.Updated+report.Unchanged+report.Refused {
		t.Fatalf("the report does not add up: %+v", report)
	}
	return report
}

const wholeFile = "\uFEFFAccount,password,customer_type,display_name,locale,time_zone,birthday,email,mobile,phone,fax,consents,attributes,attr.points,attr.code:string,quiet_from,quiet_until,Digest_Hour\r\n" +
	"Wei,three blind mice,person,\"Li, \"\"Wei\"\"\",zh-CN,Asia/Shanghai,1990-05-01,Wei@Example.COM,13800138000,010-65529988,+44 20 7946 0958,email:service; sms:transactional,\"{\"\"grade\"\": \"\"gold\"\"}\",12.5,0012,22:00,7:30,18\r\n" +
	",,,,,,,,,,,,,,,,,\r\n" +
	"ann,,company,,,,,,,,,,,,,,,\r\n"

func TestImportTakesEveryColumn(t *testing.T) {
	p := newPeople(t)
	if diff := cmp.Diff(ImportReport{Rows: 2, Created: 2}, p.take(t, wholeFile, ImportOptions{Verified: true})); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	wei, err := p.members.Authenticate(t.Context(), "wei", "three blind mice", "203.0.113.7")
	if err != nil {
		t.Fatal(err)
	}
	want := Member{
		ID: wei.ID, Account: "wei", CustomerType: "person", DisplayName: `Li, "Wei"`, Locale: "zh-CN", TimeZone: "Asia/Shanghai", Birthday: "1990-05-01",
		Attributes: map[string]any{"grade": "gold", "points": 12.5, "code": "0012"}, CreatedAt: p.time, UpdatedAt: p.time,
		QuietFrom: pointer(Clock(1320)), QuietUntil: pointer(Clock(450)), DigestHour: 18,
		PasswordMark: wei.PasswordMark,
	}
	if ann, err := p.members.ByAccount(t.Context(), "ann"); err != nil || ann.QuietFrom != nil || ann.DigestHour != 9 {
		t.Errorf("who told no wishes: %+v, %v", ann, err)
	}
	if diff := cmp.Diff(want, wei); diff != "" {
		t.Errorf("member (-want +got):\n%s", diff)
	}
	var contacts []string
	for _, c := range p.reach(t, wei.ID).Contacts {
		contacts = append(contacts, fmt.Sprintf("%s %s %v", c.Channel, c.Address, c.VerifiedAt != nil))
	}
	wantContacts := []string{"email Wei@example.com true", "sms +8613800138000 true", "voice +861065529988 true", "fax +442079460958 true"}
	if diff := cmp.Diff(wantContacts, contacts); diff != "" {
		t.Errorf("contacts (-want +got):\n%s", diff)
	}
	history, err := p.consents.History(t.Context(), wei.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantHistory := []ConsentChange{
		{Email, Service, true, "import", "members.csv, line 2", p.time},
		{SMS, Transactional, true, "import", "members.csv, line 2", p.time},
	}
	if diff := cmp.Diff(wantHistory, history); diff != "" {
		t.Errorf("consent history (-want +got):\n%s", diff)
	}
}

// everything is all that an import may change, as text.
func (p *people) everything(t testing.TB) string {
	t.Helper()
	var all strings.Builder
	for _, table := range []string{"members", "contact_points", "consents", "consent_changes"} {
		var rows string
		err := p.pool.QueryRow(t.Context(), `SELECT coalesce(string_agg(r::text, E'\n' ORDER BY r::text), '') FROM `+table+` r`).Scan(&rows)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "%s\n%s\n", table, rows)
	}
	return all.String()
}

func TestTheSameFileTwiceChangesNothing(t *testing.T) {
	p := newPeople(t)
	p.take(t, wholeFile, ImportOptions{})
	before := p.everything(t)
	p.time = p.time.Add(time.Hour)
	if diff := cmp.Diff(ImportReport{Rows: 2, Unchanged: 2}, p.take(t, wholeFile, ImportOptions{})); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, p.everything(t)); diff != "" {
		t.Errorf("the second time changed (-before +after):\n%s", diff)
	}
}

func TestAFileTakesWishesBack(t *testing.T) {
	p := newPeople(t)
	p.take(t, wholeFile, ImportOptions{})
	report := p.take(t, "account,quiet_from,quiet_until,digest_hour\nwei,usual,Usual,9\nann,22:00,,\nlin,25:00,8,noon\n", ImportOptions{})
	if report.Updated != 1 || report.Refused != 2 {
		t.Errorf("report %+v", report)
	}
	var got []string
	for _, e := range report.Errors {
		got = append(got, fmt.Sprintf("%d %s %s", e.Line, e.Column, e.Rule))
	}
	want := []string{"3 quiet_until required", "4 quiet_from clock", "4 quiet_until clock", "4 digest_hour whole"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mistakes (-want +got):\n%s", diff)
	}
	if wei, err := p.members.ByAccount(t.Context(), "wei"); err != nil || wei.QuietFrom != nil || wei.QuietUntil != nil || wei.DigestHour != 9 {
		t.Errorf("the company's hours again: %+v, %v", wei, err)
	}
}

func TestADryRunReportsTheSameAndChangesNothing(t *testing.T) {
	p := newPeople(t)
	p.take(t, "account,display_name\nwei,Wei\nann,Ann\n", ImportOptions{})
	before := p.everything(t)
	file := "account,display_name,password,email\nwei,Li Wei,,\nann,Ann,,\nnew,New,three blind mice,new@example.com\nbad,,,nobody\nnew,,,\n"
	dry := p.take(t, file, ImportOptions{DryRun: true})
	if diff := cmp.Diff(before, p.everything(t)); diff != "" {
		t.Fatalf("the dry run changed (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(dry, p.take(t, file, ImportOptions{})); diff != "" {
		t.Errorf("report (-dry +real):\n%s", diff)
	}
	if dry.Created != 1 || dry.Updated != 1 || dry.Unchanged != 1 || dry.Refused != 2 {
		t.Errorf("dry run: %+v", dry)
	}
}

func TestMistakesAreReportedByLineAndTheRestGoesIn(t *testing.T) {
	p := newPeople(t)
	file := "account,email,mobile,birthday,locale,attr.age:number,attr.vip:boolean,attributes,consents,password,display_name\n" +
		"one,,,,,,,,,,\n" + // 2
		"two,nobody,138,1990-13-01,qq,old,maybe,[],email:fun,short,\n" + // 3
		"\"three\",,,,,,,,,,\"a name\n" + // 4: a line end in a name
		"of two lines\"\n" +
		"four,,,,,\n" + // 6
		"five,a\"b@example.com,,,,,,,,,\n" + // 7
		"ONE,,,,,,,,,,\n" + // 8
		",six@example.com,,,,,,,,,\n" + // 9
		"seven,,,,,,,,,,\xb9\xe3\n" + // 10: GBK
		"eight,,,,,,,,,,\n" // 11
	var all []ImportError
	report := p.take(t, file, ImportOptions{OnError: func(e ImportError) { all = append(all, e) }})
	if report.Created != 2 || report.Refused != 7 || report.Mistakes != len(all) {
		t.Errorf("report %+v", report)
	}
	if diff := cmp.Diff(all, report.Errors); diff != "" {
		t.Errorf("the report holds other mistakes than OnError was told:\n%s", diff)
	}
	var got []string
	for _, e := range all {
		got = append(got, fmt.Sprintf("%d %s %s", e.Line, e.Column, e.Rule))
	}
	want := []string{
		"3 attr.age:number number", "3 attr.vip:boolean boolean", "3 attributes json", "3 consents known", "3 password min_len",
		"3 locale known", "3 birthday date", "3 email email", "3 mobile international",
		"4 display_name charset", "6  columns", "7  csv", "8 account duplicate", "9 account required", "10  charset",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mistakes (-want +got):\n%s", diff)
	}
}

func TestAnAccountTwiceInAFileIsRefusedAcrossBatches(t *testing.T) {
	p := newPeople(t)
	var file strings.Builder
	file.WriteString("account\n")
	for i := range importBatch + 10 {
		fmt.Fprintf(&file, "member%d\n", i)
	}
	file.WriteString("Member3\n")
	var progress []ImportProgress
	report := p.take(t, file.String(), ImportOptions{Progress: func(at ImportProgress) { progress = append(progress, at) }})
	want := []ImportError{{Line: importBatch + 12, Column: "account", Rule: "duplicate", Message: "is on line 5 already"}}
	if diff := cmp.Diff(want, report.Errors); diff != "" || report.Created != importBatch+10 {
		t.Errorf("report %+v, errors (-want +got):\n%s", report, diff)
	}
	last := ImportProgress{Rows: importBatch + 11, Refused: 1, Bytes: int64(file.Len())}
	if len(progress) != 2 || progress[0].Rows != importBatch || progress[1] != last {
		t.Errorf("progress %+v, want %d rows and then %+v", progress, importBatch, last)
	}
}

func TestAnImportUpdatesOnlyWhatTheFileSays(t *testing.T) {
	p := newPeople(t)
	m := p.register(t, Registration{
		Account: "wei", Password: "three blind mice", DisplayName: "Wei", Locale: "zh-CN", Attributes: map[string]any{"grade": "gold", "points": 1},
		Contacts: []NewContact{{Channel: Email, Address: "wei@example.com"}},
		Consents: []NewConsent{{Channel: Email, Purpose: Marketing, Granted: false, Source: "portal", Evidence: "unticked"}},
	})
	p.time = p.time.Add(time.Hour)
	report := p.take(t, "account,password,display_name,email,mobile,consents,attr.points\n"+
		"wei,see how they run,,wei@EXAMPLE.com,13900139000,email:marketing email:service,2\n", ImportOptions{Verified: true})
	if report.Updated != 1 || report.RefusalsKept != 1 {
		t.Errorf("report %+v", report)
	}
	got, err := p.members.Authenticate(t.Context(), "wei", "three blind mice", "203.0.113.7")
	if err != nil {
		t.Fatalf("the password was replaced: %v", err)
	}
	want := m
	want.Attributes, want.UpdatedAt = map[string]any{"grade": "gold", "points": 2.0}, p.time
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("member (-want +got):\n%s", diff)
	}
	r := p.reach(t, m.ID)
	if len(r.Contacts) != 2 || r.Contacts[0].VerifiedAt == nil || r.Contacts[1].Address != "+8613900139000" {
		t.Errorf("contacts %+v", r.Contacts)
	}
	if _, refusal := r.Choose(Email, Marketing); refusal != NoConsent {
		t.Errorf("the import overturned a refusal: %q", refusal)
	}
	if _, refusal := r.Choose(Email, Service); refusal != "" {
		t.Errorf("the new consent is missing: %q", refusal)
	}
}

func TestAnImportGivesAPasswordToWhoHasNone(t *testing.T) {
	p := newPeople(t)
	p.register(t, Registration{Account: "wei"})
	file := "account,password\nwei,three blind mice\n"
	if report := p.take(t, file, ImportOptions{}); report.Updated != 1 {
		t.Errorf("report %+v", report)
	}
	if _, err := p.members.Authenticate(t.Context(), "wei", "three blind mice", "203.0.113.7"); err != nil {
		t.Error(err)
	}
	if report := p.take(t, file, ImportOptions{}); report.Unchanged != 1 {
		t.Errorf("the second time: %+v", report)
	}
}

func TestAddressesOfAnImportAreVerifiedOnlyWhenVouchedFor(t *testing.T) {
	p := newPeople(t)
	file := "account,email,mobile\nwei,wei@example.com,138 0013 8000\n"
	p.take(t, file, ImportOptions{Region: "CN"})
	m, err := p.members.ByAccount(t.Context(), "wei")
	if err != nil {
		t.Fatal(err)
	}
	if _, refusal := p.reach(t, m.ID).Choose(Email, Transactional); refusal != NotVerified {
		t.Errorf("without: %q", refusal)
	}
	if report := p.take(t, file, ImportOptions{Region: "CN", Verified: true}); report.Updated != 1 {
		t.Errorf("report %+v", report)
	}
	if c, refusal := p.reach(t, m.ID).Choose(SMS, Transactional); refusal != "" || c.Address != "+8613800138000" {
		t.Errorf("with: %+v, %q", c, refusal)
	}
}

func TestAFileThatIsNoneIsRefusedWithAdvice(t *testing.T) {
	tests := []struct{ name, file, says string }{
		{"an empty file", "", "its first line must name the columns"},
		{"a file in UTF-16", "\xff\xfea\x00", "save it as CSV in UTF-8"},
		{"an unknown column", "account,name\n", "display_name, locale"},
		{"semicolons for commas", "account;email\n", "separated by commas"},
		{"no account", "email\n", "account: must be one of the columns"},
		{"a column twice", "account,Email,email\n", "email: is there twice"},
		{"an unknown type", "account,attr.age:int\n", "attr.<name>:string, :number or :boolean"},
		{"an attribute without a name", "account,attr.\n", "attr.<name>"},
		{"a first line with a stray quotation mark", "acc\"ount\n", "the first line cannot be read"},
	}
	p := newPeople(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := p.members.Import(t.Context(), strings.NewReader(tt.file), ImportOptions{})
			wantCode(t, err, problem.Invalid)
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v does not say %q", err, tt.says)
			}
		})
	}
}

// zeros is a file without an end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

func TestAQuotationMarkLeftOpenDoesNotSwallowTheFile(t *testing.T) {
	p := newPeople(t)
	endless := io.MultiReader(strings.NewReader("account,display_name\nwei,Wei\nann,\"Ann\n"), zeros{})
	report, err := p.members.Import(t.Context(), endless, ImportOptions{})
	wantCode(t, err, problem.Invalid)
	if !strings.Contains(err.Error(), "after line 2") || report.Created != 1 {
		t.Errorf("error %v, report %+v", err, report)
	}
}

func TestWhatWasReadBeforeAFailureIsIn(t *testing.T) {
	p := newPeople(t)
	broken := errors.New("the disk is gone")
	report, err := p.members.Import(t.Context(), io.MultiReader(strings.NewReader("account\nwei\n"), iotest.ErrReader(broken)), ImportOptions{})
	if !errors.Is(err, broken) || report.Created != 1 {
		t.Errorf("error %v, report %+v", err, report)
	}
	// The connection is as good as new afterwards.
	if report := p.take(t, "account\nwei\n", ImportOptions{}); report.Unchanged != 1 {
		t.Errorf("the second time: %+v", report)
	}
}

func TestOnlyTheFirstHundredMistakesAreKept(t *testing.T) {
	p := newPeople(t)
	report := p.take(t, "account,email\n"+strings.Repeat("no account,nobody\n", 150), ImportOptions{})
	if len(report.Errors) != maxImportErrors || report.Mistakes != 300 || report.Refused != 150 {
		t.Errorf("%d errors of %d mistakes in %d rows", len(report.Errors), report.Mistakes, report.Refused)
	}
}

func TestInferred(t *testing.T) {
	for cell, want := range map[string]any{
		"true": true, "false": false, "0": 0.0, "-1.5": -1.5, "1e3": 1000.0, "gold": "gold", "0012": "0012", "1,5": "1,5",
		"123456789012345": 123456789012345.0, "6222021234567890": "6222021234567890", "null": "null", "[1]": "[1]", "-": "-", "12abc": "12abc",
	} {
		if got := inferred(cell); got != want {
			t.Errorf("inferred(%q) = %#v, want %#v", cell, got, want)
		}
	}
}

// Whatever the bytes, reading them ends, panics nowhere, and every row has its
// line in order; a row without mistakes has an account in the form it is kept in.
func FuzzImportReader(f *testing.F) {
	f.Add([]byte(wholeFile))
	f.Add([]byte("account,attr.a:number,attr.b:boolean,attributes\nwei,1e400,yes,{}\n\"a\nb\",,,\n"))
	f.Add([]byte("account\n\"\n"))
	f.Add([]byte("\xff\xfe"))
	f.Fuzz(func(t *testing.T, file []byte) {
		reader, err := newImportReader(strings.NewReader(string(file)), "f.csv")
		if err != nil {
			if problem.CodeOf(err) != problem.Invalid {
				t.Fatalf("error %v, want an invalid file", err)
			}
			return
		}
		line := 0
		for {
			row, err := reader.next()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				return
			}
			if row.line <= line {
				t.Fatalf("line %d comes after line %d", row.line, line)
			}
			line = row.line
			if row.account != normaliseAccount(row.account) {
				t.Fatalf("account %q", row.account)
			}
		}
	})
}

// BenchmarkImport takes 20,000 new members without passwords.
func BenchmarkImport(b *testing.B) {
	const rows = 20_000
	var file strings.Builder
	file.WriteString("account,display_name,locale,time_zone,birthday,email,mobile,consents,attr.points\n")
	for i := range rows {
		fmt.Fprintf(&file, "member%d,Member %d,zh-CN,Asia/Shanghai,1990-05-01,member%d@example.com,138%08d,email:service email:marketing,%d\n", i, i, i, i, i%100)
	}
	for b.Loop() {
		b.StopTimer()
		p := newPeople(b)
		b.StartTimer()
		if report := p.take(b, file.String(), ImportOptions{Verified: true}); report.Created != rows {
			b.Fatalf("report %+v", report)
		}
	}
	b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
}
