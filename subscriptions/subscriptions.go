// Package subscriptions keeps what Herald knows of its customers: members and
// how to reach them, what they agreed to, the triggers on offer, and the
// subscriptions members made of them, each with its history.
//
// Data comes in from the website, the API and CSV files, is checked against
// its definition here, and is written with its history in one transaction. It
// goes out to the matcher (who waits for what) and to dispatch (may this
// address be contacted).
package subscriptions

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Channel is a way to reach a member.
type Channel string

// The channels.
const (
	Email Channel = "email"
	SMS   Channel = "sms"
	Voice Channel = "voice"
	Fax   Channel = "fax"
)

// Channels are all of them, in the order pages show them.
var Channels = []Channel{Email, SMS, Voice, Fax}

// Purpose is why a message is sent; consent is given for each apart.
type Purpose string

// The purposes.
const (
	Transactional Purpose = "transactional" // what the member is doing: orders, codes, balances
	Service       Purpose = "service"       // what the member asked to hear about
	Marketing     Purpose = "marketing"     // what the company wants to say
)

// Purposes are all of them, in the order pages show them.
var Purposes = []Purpose{Transactional, Service, Marketing}

// Known reports whether c is one of the channels.
func (c Channel) Known() bool { return slices.Contains(Channels, c) }

// Known reports whether p is one of the purposes.
func (p Purpose) Known() bool { return slices.Contains(Purposes, p) }

// Querier reads and writes the database: a *pgxpool.Pool, or the pgx.Tx of a
// caller that wants the work inside its own transaction.
type Querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}
