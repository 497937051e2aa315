package subscriptions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"herald/problem"
)

// ImportOptions say how a file of members is taken in.
type ImportOptions struct {
	File   string // what the file is called in the evidence of consents
	DryRun bool   // check everything, change nothing
	// Verified says that the company vouches for the addresses: they are used
	// without a code being sent first.
	Verified bool
	// Region (ISO 3166, such as "CN") is the country of numbers written
	// without one; empty: the one that the member's locale names, if it does.
	Region   string
	Progress func(ImportProgress) // after every batch; may be nil
	OnError  func(ImportError)    // for every mistake; may be nil
}

// ImportProgress is how far an import has come.
type ImportProgress struct {
	Rows    int
	Refused int
	Bytes   int64 // of the file, read so far
}

// ImportReport is what came of an import. Every row was created, updated,
// unchanged or refused.
type ImportReport struct {
	Rows      int `json:"rows"`
	Created   int `json:"created"`
	Updated   int `json:"updated"`
	Unchanged int `json:"unchanged"`
	Refused   int `json:"refused"`
	// RefusalsKept counts consents in the file that were passed over because
	// the member has refused them.
	RefusalsKept int           `json:"refusals_kept"`
	Mistakes     int           `json:"mistakes"`
	Errors       []ImportError `json:"errors"` // the first 100 mistakes
}

// ImportError is one mistake in a file.
type ImportError struct {
	Line    int    `json:"line"`             // where the row begins; the first line of the file is 1
	Column  string `json:"column,omitempty"` // empty: the row as a whole
	Rule    string `json:"rule"`
	Message string `json:"message"`
}

const (
	importBatch     = 500 // rows in one transaction
	maxImportErrors = 100 // kept in the report
)

// Import takes members from a CSV file: UTF-8, separated by commas, its first
// line naming the columns in any order. Only account is required.
//
//	account        see Registration; an account that is there already is updated
//	password       taken only while the member has none
//	customer_type  person or company
//	display_name, locale, time_zone, birthday (1990-12-31)
//	quiet_from, quiet_until       local times such as 22:00, the same in both
//	               for no quiet hours, or "usual" for the company's
//	digest_hour    0 to 23
//	email, mobile, phone, fax     addresses for mail, SMS, calls and fax
//	consents       "email:service sms:marketing"; the row is the evidence
//	attributes     a JSON object
//	attr.<name>    one attribute: true, false, a number, or text; a type can be
//	               fixed by attr.<name>:string, :number or :boolean
//
// An empty cell changes nothing. Addresses and consents are added, never taken
// away, and a consent never overturns what the member has said since; so taking
// the same file twice changes nothing the second time. Rows with mistakes are
// left out and reported by line and column while the others go in, 500 to a
// transaction.
//
// Errors: Invalid when the first line is wrong or the file cannot be read
// further; others when reading or storing fails. The report then counts what
// went in before.
func (s *Members) Import(ctx context.Context, r io.Reader, o ImportOptions) (report ImportReport, err error) {
	if o.File == "" {
		o.File = "file"
	}
	reader, err := newImportReader(r, o.File)
	if err != nil {
		return report, err
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return report, fmt.Errorf("import members: %w", err)
	}
	defer conn.Release()
	if err := openSeen(ctx, conn); err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, closeSeen(context.WithoutCancel(ctx), conn)) }()

	im := importer{members: s, conn: conn, options: o, report: &report}
	for more := true; more; {
		var batch []importRow
		var broken error
		if batch, more, broken = readBatch(reader); len(batch) > 0 {
			if err := im.take(ctx, batch); err != nil {
				return report, err
			}
		}
		if o.Progress != nil {
			o.Progress(ImportProgress{Rows: report.Rows, Refused: report.Refused, Bytes: reader.input.total})
		}
		if broken != nil {
			return report, broken
		}
	}
	return report, nil
}

// readBatch reads the next rows; when reading fails, those before the failure.
func readBatch(reader *importReader) (batch []importRow, more bool, err error) {
	batch = make([]importRow, 0, importBatch)
	for len(batch) < importBatch {
		row, err := reader.next()
		if errors.Is(err, io.EOF) {
			return batch, false, nil
		}
		if err != nil {
			return batch, false, err
		}
		batch = append(batch, row)
	}
	return batch, true, nil
}

// importer takes batches of one file.
type importer struct {
	members *Members
	conn    *pgxpool.Conn
	options ImportOptions
	report  *ImportReport
}

// take writes the rows of a batch that are right, and reports the others.
func (im *importer) take(ctx context.Context, batch []importRow) error {
	for i := range batch {
		batch[i].identify()
	}
	if err := refuseRepeated(ctx, im.conn, batch); err != nil {
		return err
	}
	hashes, err := im.hashPasswords(ctx, batch)
	if err != nil {
		return err
	}
	tally, err := im.store(ctx, batch, hashes)
	if err != nil {
		return err
	}
	im.report.Rows += len(batch)
	im.report.Created += tally.created
	im.report.Updated += tally.updated
	im.report.RefusalsKept += tally.refusalsKept
	for _, row := range batch {
		im.refuse(row)
	}
	im.report.Unchanged = im.report.Rows - im.report.Created - im.report.Updated - im.report.Refused
	return nil
}

// identify leaves an account only in rows that name one.
func (row *importRow) identify() {
	if row.unreadable {
		row.account = ""
		return
	}
	var fields problem.Fields
	if checkAccount(row.account, &fields); len(fields) > 0 {
		row.account = ""
		row.mistakes = append(row.mistakes, fields...)
	}
}

// refuse reports the mistakes of a row, if it has any.
func (im *importer) refuse(row importRow) {
	if len(row.mistakes) == 0 {
		return
	}
	im.report.Refused++
	for _, f := range row.mistakes {
		e := ImportError{Line: row.line, Column: f.Path, Rule: f.Rule, Message: f.Message}
		im.report.Mistakes++
		if len(im.report.Errors) < maxImportErrors {
			im.report.Errors = append(im.report.Errors, e)
		}
		if im.options.OnError != nil {
			im.options.OnError(e)
		}
	}
}

// hashPasswords hashes the passwords of members who have none yet, by account.
// It happens outside the transaction, because each takes some 50 ms.
func (im *importer) hashPasswords(ctx context.Context, batch []importRow) (map[string]string, error) {
	hashes := map[string]string{}
	var accounts []string
	for i := range batch {
		row := &batch[i]
		if row.unreadable || row.password == "" {
			continue
		}
		checkPassword("password", row.password, row.account, &row.mistakes)
		if len(row.mistakes) == 0 {
			accounts = append(accounts, row.account)
		}
	}
	if len(accounts) == 0 || im.options.DryRun {
		return hashes, nil
	}
	have, err := accountsWithPassword(ctx, im.conn, accounts)
	if err != nil {
		return nil, err
	}
	hashed := make([]string, len(batch))
	group, groupCtx := errgroup.WithContext(ctx)
	for i, row := range batch {
		if row.password == "" || len(row.mistakes) > 0 || slices.Contains(have, row.account) {
			continue
		}
		group.Go(func() error {
			var err error
			hashed[i], err = im.members.passwords.Hash(groupCtx, row.password)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("hash the passwords of an import: %w", err)
	}
	for i, hash := range hashed {
		if hash != "" {
			hashes[batch[i].account] = hash
		}
	}
	return hashes, nil
}

// checked is the profile that a row makes of a member, and its addresses
// normalised; mistakes are noted in the row.
func (im *importer) checked(row *importRow, m Member) (profile, []NewContact) {
	p := row.change.applied(m)
	p.check(&im.members.zones, im.members.now(), &row.mistakes)
	region := im.options.Region
	if region == "" {
		region = regionOf(p.locale)
	}
	var contacts []NewContact
	for _, c := range row.contacts {
		address, mistake := normalise(c.Channel, c.Address, region)
		if mistake != nil {
			mistake.Path = c.column
			row.mistakes = append(row.mistakes, *mistake)
			continue
		}
		c.Address, c.Verified = address, im.options.Verified
		contacts = append(contacts, c.NewContact)
	}
	return p, contacts
}
