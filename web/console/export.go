package console

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"herald/access"
	"herald/dispatch"
	"herald/web/page"
)

// exportBatch is how many deliveries are read at a time.
const exportBatch = 500

var exportHeader = []string{
	"id", "time", "member", "trigger", "channel", "address", "state", "reason", "attempts", "repeated", "account", "provider_id",
}

// deliveriesCSV streams all that the search finds, newest first; times are in
// UTC. Once it has begun, a failure can only be told by breaking it off.
func (c console) deliveriesCSV(v *page.Visit, _ access.Operator) error {
	data, err := c.searchPage(v)
	if err != nil {
		return err
	}
	search, err := data.read(v.Zone)
	if err != nil {
		return err
	}
	search.Limit = exportBatch
	found, err := c.Deliveries.Find(v.Context(), search)
	if err != nil {
		return err
	}
	h := v.W.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="deliveries-%s.csv"`, c.Now().In(v.Zone).Format(time.DateOnly)))
	out := csv.NewWriter(v.W)
	_ = out.Write(exportHeader) // Error tells of every write
	for {
		for _, d := range found.Deliveries {
			_ = out.Write(exportLine(d))
		}
		if out.Flush(); out.Error() != nil || found.Next == uuid.Nil {
			return nil // it is complete, or the reader has gone
		}
		search.Before = found.Next
		if found, err = c.Deliveries.Find(v.Context(), search); err != nil {
			if v.Context().Err() == nil {
				c.Logger.ErrorContext(v.Context(), "an export broke off", "request", v.RequestID, "error", err)
			}
			panic(http.ErrAbortHandler)
		}
	}
}

func exportLine(d dispatch.Delivery) []string {
	return []string{
		d.ID.String(), d.CreatedAt.UTC().Format(time.RFC3339), cell(d.Member), cell(d.Trigger), string(d.Channel), cell(d.Address),
		string(d.State), d.Reason, strconv.Itoa(d.Attempts), strconv.Itoa(d.Repeated), cell(d.Account), cell(d.ProviderID),
	}
}

// number is a telephone number in E.164.
var number = regexp.MustCompile(`^\+[0-9]+$`)

// cell keeps a spreadsheet from taking text for a formula
// (https://owasp.org/www-community/attacks/CSV_Injection). A telephone number
// is let through: as a formula it is itself.
func cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\n", rune(s[0])) && !number.MatchString(s) {
		return "'" + s
	}
	return s
}
