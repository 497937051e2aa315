package follower

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/matcher/index"
	"herald/matcher/predicate"
)

// selectAnchors reads what subscriptions s wait on and when they are valid;
// one without anchors is a row without a key. The rows of a subscription must
// come one after the other.
const selectAnchors = `
	SELECT s.id, s.trigger, a.key, a.bound, a.upper,
	       CASE WHEN s.valid_from > s.created_at THEN s.valid_from END, s.valid_until
	FROM subscriptions s LEFT JOIN subscription_anchors a ON a.subscription_id = s.id`

// selectAllAnchors reads the same of all that have anchors; most are without a
// window, so it is spared going through all subscriptions.
const selectAllAnchors = `
	SELECT a.subscription_id, a.trigger, a.key, a.bound, a.upper, s.valid_from, s.valid_until
	FROM subscription_anchors a LEFT JOIN (
		SELECT id, CASE WHEN valid_from > created_at THEN valid_from END AS valid_from, valid_until
		FROM subscriptions WHERE valid_from > created_at OR valid_until IS NOT NULL
	) AS s ON s.id = a.subscription_id`

// binaryAnchors asks for the columns of both in binary.
var binaryAnchors = pgx.QueryResultFormats{1, 1, 1, 1, 1, 1, 1}

// anchored is a subscription with what it waits on.
type anchored struct {
	id      int64
	trigger []byte
	keys    []predicate.Key
	window  index.Window
}

// leeway is what a window in the index begins earlier and ends later than the
// subscription's validity: that is judged again, somewhat later than events
// are looked up.
const leeway = time.Minute

// eachAnchored calls do with each subscription in turn; what it is given is
// overwritten by the next. It closes rows.
func eachAnchored(rows pgx.Rows, do func(*anchored) error) error {
	defer rows.Close()
	var a anchored
	for rows.Next() {
		values := rows.RawValues()
		id, err := rowID(values)
		if err != nil {
			return err
		}
		if id != a.id && a.id != 0 {
			if err := do(&a); err != nil {
				return err
			}
			a.keys = a.keys[:0]
		}
		if id != a.id {
			if err := a.begin(id, values); err != nil {
				return err
			}
		}
		if err := a.add(values); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil || a.id == 0 {
		return err
	}
	return do(&a)
}

func rowID(values [][]byte) (int64, error) {
	if len(values) != len(binaryAnchors) || len(values[0]) != 8 {
		return 0, fmt.Errorf("not a row of anchors in binary: %d columns", len(values))
	}
	return int64(binary.BigEndian.Uint64(values[0])), nil
}

func (a *anchored) begin(id int64, values [][]byte) error {
	a.id = id
	a.trigger = append(a.trigger[:0], values[1]...)
	from, err := instant(values[5])
	if err != nil {
		return err
	}
	until, err := instant(values[6])
	if err != nil {
		return err
	}
	a.window = index.Window{}
	if !from.IsZero() {
		a.window.From = from.Add(-leeway)
	}
	if !until.IsZero() {
		a.window.Until = until.Add(leeway)
	}
	return nil
}

func (a *anchored) add(values [][]byte) error {
	if values[2] == nil {
		return nil
	}
	bound, err := number(values[3])
	if err != nil {
		return err
	}
	upper, err := number(values[4])
	if err != nil {
		return err
	}
	a.keys = append(a.keys, predicate.Key{Key: string(values[2]), Bound: bound, Upper: upper})
	return nil
}

// number reads a double precision; null is 0.
func number(b []byte) (float64, error) {
	switch len(b) {
	case 0:
		return 0, nil
	case 8:
		return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
	}
	return 0, fmt.Errorf("a number of %d bytes", len(b))
}

// epoch is PostgreSQL's, from which a timestamp counts microseconds.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// instant reads a timestamp; null, and no end of time, are zero.
func instant(b []byte) (time.Time, error) {
	switch len(b) {
	case 0:
		return time.Time{}, nil
	case 8:
	default:
		return time.Time{}, fmt.Errorf("a timestamp of %d bytes", len(b))
	}
	micros := int64(binary.BigEndian.Uint64(b))
	if micros == math.MaxInt64 || micros == math.MinInt64 {
		return time.Time{}, nil
	}
	return time.UnixMicro(epoch.UnixMicro() + micros).UTC(), nil
}
