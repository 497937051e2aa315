package access

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/text/secure/precis"

	"herald/problem"
)

// What an operator's name and password must be, in characters.
const (
	maxName     = 64
	minPassword = 10
	maxPassword = 128
)

// operatorSubject begins the name by which an operator's failures are counted.
const operatorSubject = "operator:"

// Operators keeps those who sign in to the console.
type Operators struct {
	pool      *pgxpool.Pool
	passwords *Passwords
	throttle  *Throttle
	now       func() time.Time
}

// NewOperators keeps them in the database that pool leads to.
func NewOperators(pool *pgxpool.Pool, passwords *Passwords, throttle *Throttle, now func() time.Time) *Operators {
	return &Operators{pool: pool, passwords: passwords, throttle: throttle, now: now}
}

const operatorColumns = `id, name, role, created_at, disabled_at,
	encode(sha256(convert_to(password_hash, 'UTF8')), 'hex')`

func scanOperator(row pgx.CollectableRow) (Operator, error) {
	var o Operator
	err := row.Scan(&o.ID, &o.Name, &o.Role, &o.CreatedAt, &o.DisabledAt, &o.PasswordMark)
	return o, err
}

// Create makes an operator. Errors: Invalid, with fields name, password and
// role; Conflict when the name is taken.
func (o *Operators) Create(ctx context.Context, name, clear string, role Role) (Operator, error) {
	var f problem.Fields
	name = checkName(&f, name)
	checkPassword(&f, clear, name)
	if !role.Includes(OperatorRole) {
		f.Add("role", "options", "must be one of %s, %s, %s", OperatorRole, MarketerRole, AdminRole)
	}
	if err := f.Err("this operator cannot be made"); err != nil {
		return Operator{}, err
	}
	phc, err := o.passwords.Hash(ctx, clear)
	if err != nil {
		return Operator{}, err
	}
	rows, err := o.pool.Query(ctx, `
		INSERT INTO operators (name, password_hash, role, created_at) VALUES ($1, $2, $3, $4)
		RETURNING `+operatorColumns, name, phc, role, o.now())
	if err != nil {
		return Operator{}, fmt.Errorf("make an operator: %w", err)
	}
	made, err := pgx.CollectExactlyOneRow(rows, scanOperator)
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == "23505" { // unique_violation
		return Operator{}, problem.New(problem.Conflict, "there is an operator of this name already")
	}
	if err != nil {
		return Operator{}, fmt.Errorf("make an operator: %w", err)
	}
	return made, nil
}

// Authenticate is the operator whose name and password these are; remote is
// the network address they were sent from. Errors: Unauthorized, always in the
// same words, when name or password is wrong or the operator is disabled;
// Throttled after too many wrong ones for the name from the address, from the
// address, or for the name from everywhere.
func (o *Operators) Authenticate(ctx context.Context, name, clear, remote string) (Operator, error) {
	name = signInName(name)
	if err := o.throttle.SignIn(ctx, operatorSubject+name, remote); err != nil {
		return Operator{}, err
	}
	known, phc, err := o.named(ctx, name)
	if err != nil {
		return Operator{}, err
	}
	right, err := o.passwords.Verify(ctx, phc, clear) // phc is empty for a name nobody has
	if err != nil {
		return Operator{}, fmt.Errorf("operator %d: %w", known.ID, err)
	}
	if !right || known.DisabledAt != nil {
		return Operator{}, problem.New(problem.Unauthorized, "the name or the password is wrong")
	}
	return known, o.throttle.SignedIn(ctx, operatorSubject+name, remote)
}

// named is the operator of a name with the password's hash: zero and empty
// when nobody has it.
func (o *Operators) named(ctx context.Context, name string) (known Operator, phc string, err error) {
	err = o.pool.QueryRow(ctx, `SELECT `+operatorColumns+`, password_hash FROM operators WHERE name = $1`, name).
		Scan(&known.ID, &known.Name, &known.Role, &known.CreatedAt, &known.DisabledAt, &known.PasswordMark, &phc)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return Operator{}, "", fmt.Errorf("look up an operator: %w", err)
	}
	return known, phc, nil
}

// Get is one operator, disabled or not. NotFound when there is none.
func (o *Operators) Get(ctx context.Context, id int64) (Operator, error) {
	rows, err := o.pool.Query(ctx, `SELECT `+operatorColumns+` FROM operators WHERE id = $1`, id)
	if err != nil {
		return Operator{}, fmt.Errorf("read operator %d: %w", id, err)
	}
	found, err := pgx.CollectExactlyOneRow(rows, scanOperator)
	if errors.Is(err, pgx.ErrNoRows) {
		return Operator{}, noSuchOperator()
	}
	if err != nil {
		return Operator{}, fmt.Errorf("read operator %d: %w", id, err)
	}
	return found, nil
}

// List is all operators by name, disabled ones included.
func (o *Operators) List(ctx context.Context) ([]Operator, error) {
	rows, err := o.pool.Query(ctx, `SELECT `+operatorColumns+` FROM operators ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("list operators: %w", err)
	}
	all, err := pgx.CollectRows(rows, scanOperator)
	if err != nil {
		return nil, fmt.Errorf("list operators: %w", err)
	}
	return all, nil
}

// SetPassword gives an operator a new password, and lets them sign in at once
// however often somebody has failed to. Errors: Invalid, with field password;
// NotFound.
func (o *Operators) SetPassword(ctx context.Context, name, clear string) error {
	name = signInName(name)
	var f problem.Fields
	checkPassword(&f, clear, name)
	if err := f.Err("this password cannot be used"); err != nil {
		return err
	}
	phc, err := o.passwords.Hash(ctx, clear)
	if err != nil {
		return err
	}
	if err := o.change(ctx, `UPDATE operators SET password_hash = $2 WHERE name = $1`, name, phc); err != nil {
		return err
	}
	return o.throttle.Pardon(ctx, operatorSubject+name)
}

// Disable keeps an operator from signing in, from now on; who asks Get for the
// operator of a session sees it too. NotFound when there is none.
func (o *Operators) Disable(ctx context.Context, name string) error {
	return o.change(ctx, `UPDATE operators SET disabled_at = coalesce(disabled_at, $2) WHERE name = $1`, signInName(name), o.now())
}

// Enable lets an operator who was disabled sign in again. NotFound when there
// is none.
func (o *Operators) Enable(ctx context.Context, name string) error {
	return o.change(ctx, `UPDATE operators SET disabled_at = NULL WHERE name = $1`, signInName(name))
}

// change runs an update of one operator.
func (o *Operators) change(ctx context.Context, query string, args ...any) error {
	done, err := o.pool.Exec(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("change an operator: %w", err)
	}
	if done.RowsAffected() == 0 {
		return noSuchOperator()
	}
	return nil
}

func noSuchOperator() error { return problem.New(problem.NotFound, "there is no such operator") }

// signInName is a name as it is stored, by RFC 8265's UsernameCaseMapped:
// lower case, and the same however it was typed. It is empty when it cannot be
// anybody's.
func signInName(name string) string {
	stored, err := precis.UsernameCaseMapped.String(strings.TrimSpace(name))
	if err != nil || utf8.RuneCountInString(stored) > maxName {
		return ""
	}
	return stored
}

func checkName(f *problem.Fields, name string) (stored string) {
	stored = signInName(name)
	if stored == "" {
		f.AddArgs("name", "charset", map[string]any{"max": maxName}, "must be 1 to %d letters, digits or signs, without spaces", maxName)
	}
	return stored
}

func checkPassword(f *problem.Fields, clear, name string) {
	const path = "password"
	switch n := utf8.RuneCountInString(clear); {
	case n < minPassword:
		f.AddArgs(path, "min_len", map[string]any{"min": minPassword}, "must have at least %d characters", minPassword)
	case n > maxPassword:
		f.AddArgs(path, "max_len", map[string]any{"max": maxPassword}, "must have at most %d characters", maxPassword)
	case name != "" && strings.Contains(strings.ToLower(clear), name):
		f.Add(path, "account", "must not contain the name")
	}
}
