package replies

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"herald/dispatch"
	"herald/problem"
	"herald/subscriptions"
)

// Contacts finds whose an address is; *subscriptions.Contacts does.
type Contacts interface {
	Owners(ctx context.Context, q subscriptions.Querier, ch subscriptions.Channel, addresses []string) (map[string][]subscriptions.ContactPoint, error)
}

// Suppressions stops and starts addresses; *subscriptions.Consents does.
type Suppressions interface {
	StopTx(ctx context.Context, tx pgx.Tx, ch subscriptions.Channel, address, detail string) (changed bool, err error)
	RestartTx(ctx context.Context, tx pgx.Tx, ch subscriptions.Channel, address string) (lifted bool, err error)
	BeforeRestartTx(ctx context.Context, tx pgx.Tx, ch subscriptions.Channel, addresses []string) error
}

// Deliveries sends answers, and knows what was sent; *dispatch.Store does.
type Deliveries interface {
	EnqueueTx(ctx context.Context, tx pgx.Tx, ns []dispatch.Notification) error
	LastSent(ctx context.Context, q subscriptions.Querier, lines []dispatch.Line) ([]dispatch.Sent, error)
}

// Config is what a Store is made of. The stores and the logger must be given;
// other zero fields take the default named beside them.
type Config struct {
	Contacts     Contacts
	Suppressions Suppressions
	Deliveries   Deliveries
	Announcer    dispatch.Announcer // nil: nobody is told
	Logger       *slog.Logger

	Words    Words            // UsualWords
	Keep     time.Duration    // 365 days: how long a reply is kept, then it is gone
	Remember time.Duration    // 30 days: how long a message that is given again is known
	Now      func() time.Time // time.Now
}

const day = 24 * time.Hour

func (c Config) withDefaults() (Config, error) {
	if c.Contacts == nil || c.Suppressions == nil || c.Deliveries == nil || c.Logger == nil {
		return c, errors.New("replies: contacts, suppressions, deliveries and a logger are needed")
	}
	if c.Keep == 0 {
		c.Keep = 365 * day
	}
	if c.Remember == 0 {
		c.Remember = 30 * day
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	var f problem.Fields
	for path, kept := range map[string]time.Duration{"keep": c.Keep, "remember": c.Remember} {
		if kept < day {
			f.AddArgs(path, "min", map[string]any{"min": "24h"}, "must be at least a day")
		}
	}
	return c, f.Err("replies cannot be kept so")
}

// Store keeps what was written back. It is safe for many goroutines, on any
// number of nodes, and a prometheus.Collector.
type Store struct {
	pool  *pgxpool.Pool
	cfg   Config
	words matcher
	taken *prometheus.CounterVec
}

// NewStore makes a store. It fails with problem.Invalid for keywords and
// durations that cannot be meant, by their fields.
func NewStore(pool *pgxpool.Pool, cfg Config) (*Store, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	words, err := newMatcher(cfg.Words)
	if err != nil {
		return nil, err
	}
	return &Store{pool: pool, cfg: cfg, words: words, taken: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "herald_replies_taken_total",
		Help: "Messages that came to our accounts, by kind and outcome: taken, or known (given again).",
	}, []string{"kind", "outcome"})}, nil
}

// Describe implements prometheus.Collector.
func (s *Store) Describe(ch chan<- *prometheus.Desc) { s.taken.Describe(ch) }

// Collect implements prometheus.Collector.
func (s *Store) Collect(ch chan<- prometheus.Metric) { s.taken.Collect(ch) }

const replySQL = `
SELECT r.id, r.account, r.channel, r.address, r.sent_to, r.text, r.kind, r.done, r.answer, r.inbox,
       coalesce(r.member_id, 0), coalesce(m.account, ''), coalesce(r.delivery_id, '00000000-0000-0000-0000-000000000000'),
       r.sent_at, r.taken_at, r.read_at, r.read_by
FROM replies r
LEFT JOIN members m ON m.id = r.member_id
`

func scanReply(row pgx.CollectableRow) (Reply, error) {
	var r Reply
	err := row.Scan(&r.ID, &r.Account, &r.Channel, &r.From, &r.To, &r.Text, &r.Kind, &r.Done, &r.Answer, &r.Inbox,
		&r.MemberID, &r.Member, &r.DeliveryID, &r.SentAt, &r.TakenAt, &r.ReadAt, &r.ReadBy)
	r.SentAt, r.TakenAt = r.SentAt.UTC(), r.TakenAt.UTC()
	if r.ReadAt != nil {
		*r.ReadAt = r.ReadAt.UTC()
	}
	return r, err
}

// Find is the newest replies that a filter describes.
func (s *Store) Find(ctx context.Context, f Filter) ([]Reply, error) {
	where := []string{"true"}
	var args []any
	narrow := func(condition string, value any) {
		args = append(args, value)
		where = append(where, strings.ReplaceAll(condition, "?", fmt.Sprintf("$%d", len(args))))
	}
	if !f.All && f.MemberID == 0 {
		where = append(where, "r.inbox")
	}
	if f.Unread {
		where = append(where, "r.inbox AND r.read_at IS NULL")
	}
	if f.MemberID != 0 {
		narrow("r.id IN (SELECT reply_id FROM reply_members WHERE member_id = ?)", f.MemberID)
	}
	if f.From != "" {
		narrow("r.address = ?", storable(f.From, maxName))
	}
	if f.Before != 0 {
		narrow("r.id < ?", f.Before)
	}
	args = append(args, pageSize(f.Limit))
	rows, err := s.pool.Query(ctx, replySQL+"WHERE "+strings.Join(where, " AND ")+fmt.Sprintf(" ORDER BY r.id DESC LIMIT $%d", len(args)), args...)
	if err != nil {
		return nil, fmt.Errorf("find replies: %w", err)
	}
	found, err := pgx.CollectRows(rows, scanReply)
	if err != nil {
		return nil, fmt.Errorf("find replies: %w", err)
	}
	return found, nil
}

// pageSize bounds what a caller asks for.
func pageSize(limit int) int {
	if limit <= 0 {
		return 50
	}
	return min(limit, 501) // one more than a page tells whether there is another
}

// Get is one reply; problem.NotFound when there is none.
func (s *Store) Get(ctx context.Context, id int64) (Reply, error) {
	rows, err := s.pool.Query(ctx, replySQL+"WHERE r.id = $1", id)
	if err != nil {
		return Reply{}, fmt.Errorf("read a reply: %w", err)
	}
	r, err := pgx.CollectExactlyOneRow(rows, scanReply)
	if errors.Is(err, pgx.ErrNoRows) {
		return Reply{}, problem.New(problem.NotFound, "there is no such reply")
	}
	if err != nil {
		return Reply{}, fmt.Errorf("read a reply: %w", err)
	}
	return r, nil
}

// UnreadMost is as far as unread replies are counted.
const UnreadMost = 1000

// Unread is how many replies nobody has read, counted up to UnreadMost.
func (s *Store) Unread(ctx context.Context) (int, error) {
	var n int
	err := s.pool.QueryRow(ctx, `
		SELECT count(*) FROM (SELECT FROM replies WHERE inbox AND read_at IS NULL ORDER BY id DESC LIMIT $1) AS unread`, UnreadMost).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count unread replies: %w", err)
	}
	return n, nil
}

// Mark notes that somebody has read a reply of the inbox, or that it is to be
// read again. Who has read it first stays. by is "operator:ann" or "key:shop".
// It is problem.NotFound when there is no such reply in the inbox.
func (s *Store) Mark(ctx context.Context, id int64, read bool, by string) (Reply, error) {
	var done int64
	sql, args := `UPDATE replies SET read_at = coalesce(read_at, $2), read_by = CASE WHEN read_at IS NULL THEN $3 ELSE read_by END WHERE id = $1 AND inbox`,
		[]any{id, s.cfg.Now(), by}
	if !read {
		sql, args = `UPDATE replies SET read_at = NULL, read_by = '' WHERE id = $1 AND inbox`, []any{id}
	}
	tag, err := s.pool.Exec(ctx, sql, args...)
	if done = tag.RowsAffected(); err != nil {
		return Reply{}, fmt.Errorf("mark a reply: %w", err)
	}
	if done == 0 {
		return Reply{}, problem.New(problem.NotFound, "there is no such reply in the inbox")
	}
	return s.Get(ctx, id)
}

// MarkAll notes that somebody has read the inbox up to the reply with an ID,
// and says how many of them nobody had read before.
func (s *Store) MarkAll(ctx context.Context, upTo int64, by string) (int, error) {
	tag, err := s.pool.Exec(ctx, `UPDATE replies SET read_at = $2, read_by = $3 WHERE inbox AND read_at IS NULL AND id <= $1`, upTo, s.cfg.Now(), by)
	if err != nil {
		return 0, fmt.Errorf("mark replies: %w", err)
	}
	return int(tag.RowsAffected()), nil
}

// storable is text from outside as PostgreSQL can keep it, cut to so many
// characters.
func storable(s string, limit int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
	if utf8.RuneCountInString(s) > limit {
		s = string([]rune(s)[:limit-1]) + "…"
	}
	return s
}
