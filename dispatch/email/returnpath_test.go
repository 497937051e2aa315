package email

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"herald/dispatch"
	"herald/problem"
)

func TestReturnPathsAreChecked(t *testing.T) {
	token := strings.Repeat("t", 52)
	for path, good := range map[string]bool{
		"":                                     true,
		"bounce+{token}@bounces.shop.example":  true,
		"{token}@bounces.shop.example":         true,
		"b-{token}-x@bounces.shop.example":     true,
		"bounce@bounces.shop.example":          false,
		"bounce+{token}":                       false,
		"bounce+{token}@":                      false,
		"bounce+{token}@a b":                   false,
		"a {token}@bounces.shop.example":       false,
		"a>{token}@bounces.shop.example":       false,
		"{token}{token}@bounces.shop.example":  false,
		"bounce@{token}.shop.example":          false,
		"bounces-go-to+{token}@b.shop.example": false, // 66 characters
	} {
		account := goodAccount()
		account.ReturnPath = path
		_, err := NewMailer(account, "", func(uuid.UUID) string { return token })
		var p *problem.Error
		if (err == nil) != good || !good && (!errors.As(err, &p) || len(p.Fields) != 1 || p.Fields[0].Path != "return_path") {
			t.Errorf("%q gives %v", path, err)
		}
	}
	account := goodAccount()
	account.ReturnPath = "bounce+{token}@bounces.shop.example"
	if _, err := NewMailer(account, "", nil); err == nil {
		t.Error("a return path without tokens is taken")
	}
}

func TestABounceNamesItsDelivery(t *testing.T) {
	far := startFarEnd(t, &farEnd{pipelining: true})
	account := accountAt(t, "far", far.listener.Addr().String())
	account.ReturnPath = "bounce+{token}@bounces.shop.example"
	bad := uuid.MustParse("01960000-0000-7000-8000-00000000bad0")
	m, err := NewMailer(account, "", func(id uuid.UUID) string {
		if id == bad {
			return "x> BODY=8BITMIME"
		}
		return id.String()
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Send(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
	if got := far.senders[0]; got != "bounce+01960000-0000-7000-8000-000000000001@bounces.shop.example" {
		t.Errorf("the sender is %s", got)
	}
	hostile := message()
	hostile.DeliveryID = bad
	if _, err := s.Send(t.Context(), hostile); failureOf(t, err).Class != dispatch.Permanent || s.Broken() {
		t.Errorf("a token that is none gives %v", err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
