package postgres

import (
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"
)

// Away reports whether an error says that the database could not be reached or
// had no room, rather than that something is wrong with what it was asked:
// whoever asked may ask the same again. What was under way may have been done.
func Away(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		// Classes of PostgreSQL's manual, appendix A: connection exception,
		// insufficient resources, operator intervention but for a cancelled query.
		class := refused.Code[:min(2, len(refused.Code))]
		return class == "08" || class == "53" || strings.HasPrefix(refused.Code, "57P")
	}
	var connecting *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connecting) || errors.As(err, &network) && !network.Timeout() ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, puddle.ErrClosedPool) || errors.Is(err, net.ErrClosed)
}
