package console

import (
	"bytes"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"herald/access"
	"herald/web/page"
)

// evidenceRoutes are what a call or a fax left behind.
func (c console) evidenceRoutes(operator func(string, func(*page.Visit, access.Operator) error) page.Route) []page.Route {
	if c.Calls == nil || c.Faxes == nil {
		return nil
	}
	return []page.Route{
		operator("GET /console/recordings/{id}", c.recording),
		operator("GET /console/deliveries/{id}/fax.pdf", c.faxDocument),
	}
}

// recording is what somebody said in a call who consented to be recorded, as a
// WAV file. That it was listened to is logged.
func (c console) recording(v *page.Visit, o access.Operator) error {
	id, err := uuid.Parse(v.R.PathValue("id"))
	if err != nil {
		return missing("recording")
	}
	r, err := c.Calls.Recording(v.Context(), id)
	if err != nil {
		return err
	}
	c.Logger.InfoContext(v.Context(), "a recording was listened to", "recording", id, "delivery", r.DeliveryID, "operator", o.ID)
	v.W.Header().Set("Content-Type", "audio/wav")
	http.ServeContent(v.W, v.R, "", r.MadeAt, bytes.NewReader(r.WAV))
	return nil
}

// faxDocument is a fax as it was handed over, as PDF.
func (c console) faxDocument(v *page.Visit, _ access.Operator) error {
	id, err := uuid.Parse(v.R.PathValue("id"))
	if err != nil {
		return missing("fax")
	}
	document, err := c.Faxes.Document(v.Context(), id)
	if err != nil {
		return err
	}
	h := v.W.Header()
	h.Del("Content-Security-Policy") // browsers show a PDF with styles of their own
	h.Set("Content-Type", "application/pdf")
	h.Set("Content-Disposition", fmt.Sprintf(`inline; filename="fax-%s.pdf"`, id))
	http.ServeContent(v.W, v.R, "", time.Time{}, bytes.NewReader(document))
	return nil
}
