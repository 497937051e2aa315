package subscriptions

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/access"
	"herald/problem"
)

// Members keeps who is registered.
type Members struct {
	pool      *pgxpool.Pool
	passwords *access.Passwords
	throttle  *access.Throttle
	now       func() time.Time
	zones     zones
}

// NewMembers keeps them in the database that pool leads to.
func NewMembers(pool *pgxpool.Pool, passwords *access.Passwords, throttle *access.Throttle, now func() time.Time) *Members {
	return &Members{pool: pool, passwords: passwords, throttle: throttle, now: now}
}

// Register makes a member with their contact points and consents, all or
// nothing.
//
// Errors: Invalid with every mistake by field ("account", "password",
// "birthday", "contacts[0].address", "consents[1].purpose" …); Conflict on the
// field account when it is taken.
func (s *Members) Register(ctx context.Context, r Registration) (Member, error) {
	var fields problem.Fields
	p := s.checkRegistration(&r, &fields)
	if err := fields.Err("the registration has mistakes"); err != nil {
		return Member{}, err
	}
	hash, err := s.hash(ctx, r.Password)
	if err != nil {
		return Member{}, err
	}
	now := s.now()
	var m Member
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		m, err = insertMember(ctx, tx, now, r.Account, hash, p)
		if err != nil {
			return err
		}
		for _, c := range r.Contacts {
			if _, err := insertContact(ctx, tx, now, m.ID, c); err != nil {
				return err
			}
		}
		return recordConsents(ctx, tx, now, m.ID, r.Consents)
	})
	if err != nil {
		return Member{}, err
	}
	return m, nil
}

// hash is the hash of a password, or nil of none.
func (s *Members) hash(ctx context.Context, password string) (*string, error) {
	if password == "" {
		return nil, nil
	}
	phc, err := s.passwords.Hash(ctx, password)
	if err != nil {
		return nil, fmt.Errorf("hash a member's password: %w", err)
	}
	return &phc, nil
}

// checkRegistration normalises r in place and returns its profile.
func (s *Members) checkRegistration(r *Registration, fields *problem.Fields) profile {
	r.Account = normaliseAccount(r.Account)
	checkAccount(r.Account, fields)
	if r.Password != "" {
		checkPassword("password", r.Password, r.Account, fields)
	}
	p := profileOf(Member{
		CustomerType: r.CustomerType, DisplayName: r.DisplayName, Locale: r.Locale,
		TimeZone: r.TimeZone, Birthday: r.Birthday, QuietFrom: r.QuietFrom, QuietUntil: r.QuietUntil,
		DigestHour: usualDigestHour, Attributes: r.Attributes,
	})
	set(&p.digestHour, r.DigestHour)
	p.check(&s.zones, s.now(), fields)
	r.Contacts = checkContacts(r.Contacts, regionOf(p.locale), fields)
	checkConsents(r.Consents, fields)
	return p
}

// checkContacts returns the contacts normalised.
func checkContacts(contacts []NewContact, region string, fields *problem.Fields) []NewContact {
	if len(contacts) > maxContacts {
		fields.AddArgs("contacts", "max_items", map[string]any{"max": maxContacts}, "must be at most %d", maxContacts)
		return nil
	}
	type key struct {
		channel Channel
		address string
	}
	seen := map[key]bool{}
	normal := make([]NewContact, len(contacts))
	for i, c := range contacts {
		prefix := fmt.Sprintf("contacts[%d].", i)
		if c.Region == "" {
			c.Region = region
		}
		c.Address = checkAddress(prefix, c.Channel, c.Address, c.Region, fields)
		k := key{c.Channel, c.Address}
		if c.Address != "" && seen[k] {
			fields.Add(prefix+"address", "duplicate", "is on the list already")
		}
		seen[k] = true
		normal[i] = c
	}
	return normal
}

func insertMember(ctx context.Context, q Querier, at time.Time, account string, hash *string, p profile) (Member, error) {
	rows, err := q.Query(ctx, `
		INSERT INTO members (account, password_hash, customer_type, display_name, locale, time_zone,
		                     birthday, quiet_from, quiet_until, digest_hour, attributes, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, nullif($7, '')::date, $8, $9, $10, $11, $12, $12)
		RETURNING `+memberColumns,
		account, hash, p.customerType, p.displayName, p.locale, p.timeZone, p.birthday,
		minutes(p.quietFrom), minutes(p.quietUntil), p.digestHour, p.attributes, at)
	if err == nil {
		var m Member
		if m, err = pgx.CollectExactlyOneRow(rows, scanMember); err == nil {
			return m, nil
		}
	}
	if violates(err, uniqueViolation) {
		return Member{}, &problem.Error{
			Code: problem.Conflict, Message: "this account is taken",
			Fields: problem.Fields{{Path: "account", Rule: "taken", Message: "somebody has it already: choose another"}},
		}
	}
	return Member{}, fmt.Errorf("insert a member: %w", err)
}

// Get is the member with an ID, or NotFound.
func (s *Members) Get(ctx context.Context, id int64) (Member, error) {
	return selectMember(ctx, s.pool, `id = $1`, id)
}

// ByAccount is the member with an account, in any case, or NotFound.
func (s *Members) ByAccount(ctx context.Context, account string) (Member, error) {
	return selectMember(ctx, s.pool, `account = $1`, storable(normaliseAccount(account), maxAccount+1))
}

// Accounts are the accounts of members by their IDs; an ID that nobody has is
// not among them.
func (s *Members) Accounts(ctx context.Context, ids []int64) (map[int64]string, error) {
	rows, err := s.pool.Query(ctx, `SELECT id, account FROM members WHERE id = ANY($1)`, ids)
	if err != nil {
		return nil, fmt.Errorf("accounts of members: %w", err)
	}
	accounts := make(map[int64]string, len(ids))
	var id int64
	var account string
	if _, err := pgx.ForEachRow(rows, []any{&id, &account}, func() error {
		accounts[id] = account
		return nil
	}); err != nil {
		return nil, fmt.Errorf("accounts of members: %w", err)
	}
	return accounts, nil
}

// Find is a page of members in the order of their IDs.
func (s *Members) Find(ctx context.Context, f MemberFilter) ([]Member, error) {
	query := storable(strings.TrimSpace(f.Query), maxEmail)
	where, args := `id > $1`, []any{f.After, pageSize(f.Limit)}
	if query != "" {
		// Asked for apart, so that the rest is one condition, for which the
		// planner can take either the indexes or the order of the IDs.
		owners, err := s.ownersOf(ctx, sought(query))
		if err != nil {
			return nil, err
		}
		where += ` AND (account LIKE lower($3) OR lower(display_name) LIKE lower($3) OR id = ANY($4))`
		args = append(args, likePrefix(query), owners)
	}
	rows, err := s.pool.Query(ctx, `SELECT `+memberColumns+` FROM members WHERE `+where+` ORDER BY id LIMIT $2`, args...)
	if err != nil {
		return nil, fmt.Errorf("find members: %w", err)
	}
	members, err := pgx.CollectRows(rows, scanMember)
	if err != nil {
		return nil, fmt.Errorf("find members: %w", err)
	}
	return members, nil
}

// ownersOf are the members who have an address, on any channel.
func (s *Members) ownersOf(ctx context.Context, address string) ([]int64, error) {
	rows, err := s.pool.Query(ctx, `SELECT member_id FROM contact_points WHERE channel = ANY($1) AND address = $2`, Channels, address)
	if err != nil {
		return nil, fmt.Errorf("find members by address: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("find members by address: %w", err)
	}
	return ids, nil
}

// likePrefix is the LIKE pattern of what begins with text.
func likePrefix(text string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text) + "%"
}

// Count is how many members there are.
func (s *Members) Count(ctx context.Context) (int64, error) {
	var n int64
	if err := s.pool.QueryRow(ctx, `SELECT count(*) FROM members`).Scan(&n); err != nil {
		return 0, fmt.Errorf("count members: %w", err)
	}
	return n, nil
}

// Update changes a member's profile, and what their subscriptions wait on where
// that hangs on the time zone or the birthday. Errors: Invalid with every mistake by
// field; NotFound.
func (s *Members) Update(ctx context.Context, id int64, c MemberChange) (Member, error) {
	var m Member
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		was, err := selectMember(ctx, tx, `id = $1 FOR NO KEY UPDATE`, id)
		if err != nil {
			return err
		}
		p := c.applied(was)
		var fields problem.Fields
		p.check(&s.zones, s.now(), &fields)
		if err := fields.Err("the change has mistakes"); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `
			UPDATE members
			SET customer_type = $2, display_name = $3, locale = $4, time_zone = $5,
			    birthday = nullif($6, '')::date, quiet_from = $7, quiet_until = $8, digest_hour = $9,
			    attributes = $10, updated_at = $11
			WHERE id = $1
			RETURNING `+memberColumns,
			id, p.customerType, p.displayName, p.locale, p.timeZone, p.birthday,
			minutes(p.quietFrom), minutes(p.quietUntil), p.digestHour, p.attributes, s.now())
		if err == nil {
			m, err = pgx.CollectExactlyOneRow(rows, scanMember)
		}
		if err != nil {
			return fmt.Errorf("update member %d: %w", id, err)
		}
		if p.timeZone == was.TimeZone && p.birthday == was.Birthday {
			return nil
		}
		return reanchorMembers(ctx, tx, []int64{id})
	})
	if err != nil {
		return Member{}, err
	}
	return m, nil
}

// applied is the profile that a change makes of a member's.
func (c MemberChange) applied(m Member) profile {
	p := profileOf(m)
	set(&p.customerType, c.CustomerType)
	set(&p.displayName, c.DisplayName)
	set(&p.locale, c.Locale)
	set(&p.timeZone, c.TimeZone)
	set(&p.birthday, c.Birthday)
	set(&p.quietFrom, c.QuietFrom)
	set(&p.quietUntil, c.QuietUntil)
	set(&p.digestHour, c.DigestHour)
	p.attributes = maps.Clone(m.Attributes)
	for name, value := range c.Attributes {
		switch {
		case value == nil:
			delete(p.attributes, name)
		case p.attributes == nil:
			p.attributes = map[string]any{name: value}
		default:
			p.attributes[name] = value
		}
	}
	return p
}

// set changes what is to be changed.
func set[T any](field, to *T) {
	if to != nil {
		*field = *to
	}
}
