package subscriptions

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5"
)

// openSeen makes the table in which an import remembers which accounts it has
// met, on a connection of its own: a file may hold more than memory should.
func openSeen(ctx context.Context, q Querier) error {
	if _, err := q.Exec(ctx, `CREATE TEMP TABLE import_seen (account text PRIMARY KEY, line integer NOT NULL)`); err != nil {
		return fmt.Errorf("begin an import: %w", err)
	}
	return nil
}

func closeSeen(ctx context.Context, q Querier) error {
	if _, err := q.Exec(ctx, `DROP TABLE import_seen`); err != nil {
		return fmt.Errorf("end an import: %w", err)
	}
	return nil
}

// refuseRepeated notes a mistake in every row whose account was in the file
// before.
func refuseRepeated(ctx context.Context, q Querier, batch []importRow) error {
	byLine := map[int]*importRow{}
	var accounts []string
	var lines []int
	for i := range batch {
		if row := &batch[i]; row.account != "" {
			byLine[row.line] = row
			accounts, lines = append(accounts, row.account), append(lines, row.line)
		}
	}
	_, err := q.Exec(ctx, `
		INSERT INTO import_seen (account, line)
		SELECT account, line FROM unnest($1::text[], $2::int[]) AS row (account, line) ORDER BY line
		ON CONFLICT DO NOTHING`, accounts, lines)
	if err != nil {
		return fmt.Errorf("look for repeated accounts: %w", err)
	}
	rows, err := q.Query(ctx, `
		SELECT row.line, seen.line
		FROM unnest($1::text[], $2::int[]) AS row (account, line)
		JOIN import_seen seen USING (account) WHERE seen.line <> row.line`, accounts, lines)
	if err != nil {
		return fmt.Errorf("look for repeated accounts: %w", err)
	}
	var line, first int
	_, err = pgx.ForEachRow(rows, []any{&line, &first}, func() error {
		byLine[line].mistakes.Add("account", "duplicate", "is on line %d already", first)
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for repeated accounts: %w", err)
	}
	return nil
}

// accountsWithPassword are those of the accounts that have one.
func accountsWithPassword(ctx context.Context, q Querier, accounts []string) ([]string, error) {
	rows, err := q.Query(ctx, `SELECT account FROM members WHERE account = ANY($1) AND password_hash IS NOT NULL`, accounts)
	if err != nil {
		return nil, fmt.Errorf("look for passwords: %w", err)
	}
	have, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for passwords: %w", err)
	}
	return have, nil
}

// tally counts what a batch came to.
type tally struct{ created, updated, refusalsKept int }

// known is a member before an import changes them.
type known struct {
	Member
	hasPassword bool
}

// planned is a row without mistakes and what it will write.
type planned struct {
	*importRow
	id       int64 // 0: not a member yet
	profile  profile
	contacts []NewContact
	hash     string // "": none to set
	differs  bool   // from the member as stored; says nothing of a new one
	moved    bool   // to another time zone or birthday
}

// store writes the rows without mistakes in one transaction, and notes in the
// others what is wrong. A dry run takes it back at the end.
func (im *importer) store(ctx context.Context, batch []importRow, hashes map[string]string) (tally, error) {
	tx, err := im.conn.Begin(ctx)
	if err != nil {
		return tally{}, fmt.Errorf("store imported members: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // does nothing after Commit
	plan, err := im.plan(ctx, tx, batch, hashes)
	if err != nil {
		return tally{}, err
	}
	t, err := im.write(ctx, tx, plan)
	if err != nil || im.options.DryRun {
		return t, err
	}
	if err := tx.Commit(ctx); err != nil {
		return tally{}, fmt.Errorf("store imported members: %w", err)
	}
	return t, nil
}

// plan compares the rows with the members that there are, and locks those.
func (im *importer) plan(ctx context.Context, tx pgx.Tx, batch []importRow, hashes map[string]string) ([]planned, error) {
	members, err := lockMembers(ctx, tx, batch)
	if err != nil {
		return nil, err
	}
	plan := make([]planned, 0, len(batch))
	for i := range batch {
		row := &batch[i]
		if row.unreadable {
			continue
		}
		m, registered := members[row.account]
		if !registered {
			m.DigestHour = usualDigestHour
		}
		p := planned{importRow: row, id: m.ID}
		if p.profile, p.contacts = im.checked(row, m.Member); len(row.mistakes) > 0 {
			continue
		}
		if !m.hasPassword {
			p.hash = hashes[row.account]
		}
		p.moved = registered && (p.profile.timeZone != m.TimeZone || p.profile.birthday != m.Birthday)
		p.differs = p.hash != "" || !reflect.DeepEqual(p.profile, profileOf(m.Member))
		plan = append(plan, p)
	}
	return plan, nil
}

func lockMembers(ctx context.Context, tx pgx.Tx, batch []importRow) (map[string]known, error) {
	accounts := make([]string, 0, len(batch))
	for _, row := range batch {
		if row.account != "" {
			accounts = append(accounts, row.account)
		}
	}
	// In one order, so that two imports wait for each other and do not deadlock.
	rows, err := tx.Query(ctx, `
		SELECT `+memberColumns+`, password_hash IS NOT NULL FROM members
		WHERE account = ANY($1) ORDER BY id FOR NO KEY UPDATE`, accounts)
	if err != nil {
		return nil, fmt.Errorf("find imported members: %w", err)
	}
	members := make(map[string]known, len(accounts))
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (k known, err error) {
		err = row.Scan(append(k.destinations(), &k.hasPassword)...)
		return k, err
	})
	if err != nil {
		return nil, fmt.Errorf("find imported members: %w", err)
	}
	for _, k := range found {
		members[k.Account] = k
	}
	return members, nil
}

// write makes the plan true, each kind of row by one statement.
func (im *importer) write(ctx context.Context, tx pgx.Tx, plan []planned) (tally, error) {
	now := im.members.now()
	created, err := insertImported(ctx, tx, now, plan)
	if err != nil {
		return tally{}, err
	}
	touched, err := updateImported(ctx, tx, now, plan)
	if err != nil {
		return tally{}, err
	}
	for i := range plan {
		if p := &plan[i]; p.id == 0 {
			if p.id = created[p.account]; p.id == 0 {
				p.mistakes.Add("account", "taken", "was registered while the file was read: import the row again")
			}
		}
	}
	if err := addImportedContacts(ctx, tx, now, plan, touched); err != nil {
		return tally{}, err
	}
	kept, err := addImportedConsents(ctx, tx, now, plan, touched)
	if err != nil {
		return tally{}, err
	}
	for _, id := range created {
		delete(touched, id)
	}
	return tally{created: len(created), updated: len(touched), refusalsKept: kept}, nil
}

// profileArrays are profiles as unnest takes them.
type profileArrays struct {
	types, names, locales, zones, birthdays, attributes, hashes []string
	quietFroms, quietUntils                                     []*int16
	digestHours                                                 []int16
}

func (a *profileArrays) add(p profile, hash string) error {
	attributes, err := json.Marshal(p.attributes)
	if err != nil {
		return fmt.Errorf("attributes of an imported member: %w", err)
	}
	a.types, a.names, a.locales = append(a.types, p.customerType), append(a.names, p.displayName), append(a.locales, p.locale)
	a.zones, a.birthdays = append(a.zones, p.timeZone), append(a.birthdays, p.birthday)
	a.quietFroms, a.quietUntils = append(a.quietFroms, minutes(p.quietFrom)), append(a.quietUntils, minutes(p.quietUntil))
	a.digestHours = append(a.digestHours, int16(p.digestHour))
	a.attributes, a.hashes = append(a.attributes, string(attributes)), append(a.hashes, hash)
	return nil
}

// insertImported writes the new members and returns their IDs by account. An
// account that somebody else registered a moment ago is not among them.
func insertImported(ctx context.Context, tx pgx.Tx, at time.Time, plan []planned) (map[string]int64, error) {
	created := map[string]int64{}
	var accounts []string
	var a profileArrays
	for _, p := range plan {
		if p.id != 0 {
			continue
		}
		accounts = append(accounts, p.account)
		if err := a.add(p.profile, p.hash); err != nil {
			return nil, err
		}
	}
	if len(accounts) == 0 {
		return created, nil
	}
	rows, err := tx.Query(ctx, `
		INSERT INTO members (account, customer_type, display_name, locale, time_zone, birthday, attributes,
		                     password_hash, quiet_from, quiet_until, digest_hour, created_at, updated_at)
		SELECT account, type, name, locale, zone, nullif(birthday, '')::date, attributes::jsonb,
		       nullif(hash, ''), quiet_from, quiet_until, digest_hour, $12, $12
		FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
		            $9::smallint[], $10::smallint[], $11::smallint[])
		  AS row (account, type, name, locale, zone, birthday, attributes, hash, quiet_from, quiet_until, digest_hour)
		ORDER BY account -- in one order, as when they are locked
		ON CONFLICT (account) DO NOTHING
		RETURNING id, account`,
		accounts, a.types, a.names, a.locales, a.zones, a.birthdays, a.attributes, a.hashes,
		a.quietFroms, a.quietUntils, a.digestHours, at)
	if err != nil {
		return nil, fmt.Errorf("insert imported members: %w", err)
	}
	var id int64
	var account string
	_, err = pgx.ForEachRow(rows, []any{&id, &account}, func() error {
		created[account] = id
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("insert imported members: %w", err)
	}
	return created, nil
}

// updateImported writes the profiles that differ and returns whose they are.
func updateImported(ctx context.Context, tx pgx.Tx, at time.Time, plan []planned) (touched map[int64]bool, err error) {
	touched = map[int64]bool{}
	var ids, moved []int64
	var a profileArrays
	for _, p := range plan {
		if p.id == 0 || !p.differs {
			continue
		}
		touched[p.id] = true
		ids = append(ids, p.id)
		if p.moved {
			moved = append(moved, p.id)
		}
		if err := a.add(p.profile, p.hash); err != nil {
			return nil, err
		}
	}
	if len(ids) == 0 {
		return touched, nil
	}
	_, err = tx.Exec(ctx, `
		UPDATE members m
		SET customer_type = row.type, display_name = row.name, locale = row.locale, time_zone = row.zone,
		    birthday = nullif(row.birthday, '')::date, attributes = row.attributes::jsonb,
		    password_hash = coalesce(nullif(row.hash, ''), m.password_hash),
		    quiet_from = row.quiet_from, quiet_until = row.quiet_until, digest_hour = row.digest_hour, updated_at = $12
		FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
		            $9::smallint[], $10::smallint[], $11::smallint[])
		  AS row (id, type, name, locale, zone, birthday, attributes, hash, quiet_from, quiet_until, digest_hour)
		WHERE m.id = row.id`,
		ids, a.types, a.names, a.locales, a.zones, a.birthdays, a.attributes, a.hashes,
		a.quietFroms, a.quietUntils, a.digestHours, at)
	if err != nil {
		return nil, fmt.Errorf("update imported members: %w", err)
	}
	return touched, reanchorMembers(ctx, tx, moved)
}

// addImportedContacts adds the addresses that are new, and verifies those that
// the company vouches for now. It notes whose they are. Those that are there
// are locked by their ids, as by everybody.
func addImportedContacts(ctx context.Context, tx pgx.Tx, at time.Time, plan []planned, touched map[int64]bool) error {
	var ids []int64
	var channels, addresses []string
	var verified []bool
	for _, p := range plan {
		for _, c := range p.contacts {
			if p.id == 0 {
				continue
			}
			ids, channels = append(ids, p.id), append(channels, string(c.Channel))
			addresses, verified = append(addresses, c.Address), append(verified, c.Verified)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `SELECT FROM contact_points WHERE member_id = ANY($1) ORDER BY id FOR NO KEY UPDATE`, ids)
	if err != nil {
		return fmt.Errorf("lock the contact points of imported members: %w", err)
	}
	rows, err := tx.Query(ctx, `
		INSERT INTO contact_points AS have (member_id, channel, address, verified_at, created_at)
		SELECT member_id, channel, address, CASE WHEN verified THEN $5::timestamptz END, $5
		FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bool[]) AS row (member_id, channel, address, verified)
		ON CONFLICT (member_id, channel, address) DO UPDATE SET verified_at = excluded.verified_at
		WHERE have.verified_at IS NULL AND excluded.verified_at IS NOT NULL
		RETURNING member_id`, ids, channels, addresses, verified, at)
	if err != nil {
		return fmt.Errorf("add imported contact points: %w", err)
	}
	return note(rows, touched)
}

// addImportedConsents grants what was never said, with the row as evidence.
// It notes whose consents they are, and counts those that the member refuses.
func addImportedConsents(ctx context.Context, tx pgx.Tx, at time.Time, plan []planned, touched map[int64]bool) (refused int, err error) {
	var ids []int64
	var channels, purposes, evidence []string
	for _, p := range plan {
		for _, c := range p.consents {
			if p.id == 0 {
				continue
			}
			ids, channels = append(ids, p.id), append(channels, string(c.Channel))
			purposes, evidence = append(purposes, string(c.Purpose)), append(evidence, storable(c.Evidence, maxEvidence))
		}
	}
	if len(ids) == 0 {
		return 0, nil
	}
	rows, err := tx.Query(ctx, `
		WITH row AS (
			SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) AS row (member_id, channel, purpose, evidence)
		), said AS (
			INSERT INTO consents (member_id, channel, purpose, granted, changed_at)
			SELECT member_id, channel, purpose, true, $5 FROM row
			ORDER BY member_id, channel COLLATE "C", purpose COLLATE "C" -- as recordConsents does
			ON CONFLICT DO NOTHING
			RETURNING member_id, channel, purpose
		)
		INSERT INTO consent_changes (member_id, channel, purpose, granted, source, evidence, at)
		SELECT member_id, channel, purpose, true, 'import', evidence, $5
		FROM row JOIN said USING (member_id, channel, purpose)
		RETURNING member_id`, ids, channels, purposes, evidence, at)
	if err != nil {
		return 0, fmt.Errorf("add imported consents: %w", err)
	}
	if err := note(rows, touched); err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, `
		SELECT count(*) FROM unnest($1::bigint[], $2::text[], $3::text[]) AS row (member_id, channel, purpose)
		JOIN consents USING (member_id, channel, purpose) WHERE NOT granted`, ids, channels, purposes).Scan(&refused)
	if err != nil {
		return 0, fmt.Errorf("count refused consents: %w", err)
	}
	return refused, nil
}

func note(rows pgx.Rows, touched map[int64]bool) error {
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return fmt.Errorf("store imported members: %w", err)
	}
	for _, id := range ids {
		touched[id] = true
	}
	return nil
}
