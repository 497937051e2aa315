package console_test

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
)

// called notes a call that was recorded, and a fax, of a delivery.
func (s *stand) called(delivery uuid.UUID) (recording uuid.UUID) {
	call, recording := uuid.New(), uuid.New()
	s.exec(`
INSERT INTO calls (id, delivery_id, member_id, attempt, account, call_id, began_at, ended_at, steps, answered_by, outcome)
SELECT $1, id, member_id, 1, 'trunk', 'call-7', now(), now(), jsonb_build_array(
    jsonb_build_object('at', now(), 'code', 'call_dialled'),
    jsonb_build_object('at', now(), 'code', 'call_recorded', 'args', jsonb_build_object('seconds', 1.5), 'recording', $3::text)), 'person', 'spoken'
FROM deliveries
WHERE id = $2`,
		call, delivery, recording)
	s.exec(`
INSERT INTO call_recordings (id, call, made_at, lasts_ms, wav, keep_until)
VALUES ($1, $2, now(), 1500, 'RIFF and so on', now() + interval '1 day')`, recording, call)
	s.exec(`
INSERT INTO faxes (info, delivery_id, member_id, attempt, account, job, first_page, pages, state, outcome, document, expires_at, begun_at, due_at, submitted_at, ended_at)
SELECT 'fax-7', id, member_id, 1, 'fax', '41', 1, 2, 'ended', 'delivered', '%PDF-1.4 and so on', now(), now(), now(), now(), now()
FROM deliveries
WHERE id = $1`, delivery)
	return recording
}

func TestWhatACallAndAFaxLeftIsShown(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.delivered("fine")[0].ID
	recording := s.called(d)
	v := s.signedIn("bob")
	v.get("/console/deliveries/"+d.String()).is(http.StatusOK).
		has("call-7", `src="/console/recordings/`+recording.String()+`"`, "/console/deliveries/"+d.String()+"/fax.pdf")
	heard := v.get("/console/recordings/" + recording.String()).is(http.StatusOK).has("RIFF and so on")
	if kind := heard.header.Get("Content-Type"); kind != "audio/wav" {
		t.Errorf("a recording is %s", kind)
	}
	seen := v.get("/console/deliveries/" + d.String() + "/fax.pdf").is(http.StatusOK).has("%PDF-1.4")
	if kind := seen.header.Get("Content-Type"); kind != "application/pdf" {
		t.Errorf("a fax is %s", kind)
	}
	for _, path := range []string{"/console/recordings/7", "/console/recordings/" + uuid.NewString(), "/console/deliveries/" + uuid.NewString() + "/fax.pdf"} {
		v.get(path).is(http.StatusNotFound)
	}
	s.exec(`UPDATE faxes SET private = true`)
	v.get("/console/deliveries/" + d.String()).is(http.StatusOK).lacks("fax.pdf")
	v.get("/console/deliveries/" + d.String() + "/fax.pdf").is(http.StatusNotFound)
	s.exec(`UPDATE call_recordings SET keep_until = now()`)
	v.get("/console/recordings/" + recording.String()).is(http.StatusNotFound)
	s.visitor().get("/console/recordings/" + recording.String()).at("/console/sign-in")
}
