package parts

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/uuid"

	"herald/dispatch"
	"herald/postgres/pgtest"
)

// What messages of one part pay for those of several: one question a batch.
func BenchmarkReportsOfSingleMessages(b *testing.B) {
	s := NewStore(pgtest.New(b))
	reports := make([]dispatch.Report, 500)
	n := 0
	for b.Loop() {
		for i := range reports {
			reports[i] = says(dispatch.ReportDelivered, fmt.Sprint("single", n))
			n++
		}
		got, err := s.Reports(b.Context(), reports)
		if err != nil || len(got) != len(reports) {
			b.Fatal(len(got), err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "reports/s")
}

// What they pay while a message of several parts is in hand and their own
// attempts are not yet recorded: they are held, and given.
func BenchmarkReportsThatAreHeld(b *testing.B) {
	s := NewStore(pgtest.New(b))
	reports := make([]dispatch.Report, 500)
	n := 0
	for b.Loop() {
		start := Start{DeliveryID: uuid.Must(uuid.NewV7()), Address: "+1", Of: 2}
		if _, err := s.Begin(b.Context(), account, []Start{start}); err != nil {
			b.Fatal(err)
		}
		for i := range reports {
			reports[i] = says(dispatch.ReportDelivered, fmt.Sprint("single", n))
			n++
		}
		if got, err := s.Reports(b.Context(), reports); err != nil || len(got) != 0 {
			b.Fatal(len(got), err)
		}
		if err := s.Accepted(b.Context(), account, Part{start.DeliveryID, 0, ""}, Part{start.DeliveryID, 1, ""}); err != nil {
			b.Fatal(err)
		}
		if given, err := s.look(b.Context(), func(context.Context, []dispatch.Report) error { return nil }); err != nil || given != len(reports) {
			b.Fatal(given, err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "reports/s")
}

// A slice of messages of three parts: begun, taken and reported.
func BenchmarkMessagesOfThreeParts(b *testing.B) {
	s := NewStore(pgtest.New(b))
	const slice = 200
	n := 0
	for b.Loop() {
		starts := make([]Start, slice)
		var taken []Part
		var reports []dispatch.Report
		for i := range starts {
			n++
			starts[i] = Start{DeliveryID: uuid.Must(uuid.NewV7()), Address: fmt.Sprint(n % 10000), Of: 3, Text: "text"}
			for p := range 3 {
				id := fmt.Sprintf("%d/%d", n, p)
				taken = append(taken, Part{starts[i].DeliveryID, p, id})
				reports = append(reports, says(dispatch.ReportDelivered, id))
			}
		}
		if _, err := s.Begin(b.Context(), account, starts); err != nil {
			b.Fatal(err)
		}
		if err := s.Accepted(b.Context(), account, taken...); err != nil {
			b.Fatal(err)
		}
		if got, err := s.Reports(b.Context(), reports); err != nil || len(got) != 2*slice {
			b.Fatal(len(got), err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "messages/s")
}
