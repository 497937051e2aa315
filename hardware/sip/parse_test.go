package sip

import (
	"errors"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"herald/hardware/sip/g711"
)

func FuzzRetryAfter(f *testing.F) {
	for _, value := range []string{"120", " 18000;duration=3600", "120 (I'm in a meeting)", "-1", "99999999999999999999"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if d := retryAfter(value); d < 0 || d > 24*time.Hour {
			t.Errorf("%q is %v", value, d)
		}
	})
}

func FuzzNotice(f *testing.F) {
	f.Add([]byte("SIP/2.0 200 OK\r\n"))
	f.Add([]byte("SIP/2.0 100 Trying"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if code, over := notice(body); over && (code < 200 || code > 699) {
			t.Errorf("%q is %d", body, code)
		}
	})
}

func FuzzInformation(f *testing.F) {
	f.Add([]byte("Signal=5\r\nDuration=160\r\n"))
	f.Add([]byte("#"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if digits := information(body); len(digits) > len(body) {
			t.Errorf("%q is %q", body, digits)
		}
	})
}

func TestInformationIsRead(t *testing.T) {
	for body, want := range map[string]string{"Signal=5\r\nDuration=160\r\n": "5", "signal = *\n": "*", "7": "7", "Duration=9": "", "Signal=12": ""} {
		if digits := information([]byte(body)); digits != want {
			t.Errorf("%q is %q", body, digits)
		}
	}
}

func TestClassesOfAnswers(t *testing.T) {
	for class, codes := range map[Class][]int{
		Busy: {486, 600}, NoAnswer: {408, 480, 487}, BadNumber: {404, 410, 484, 604}, Credentials: {401, 407}, NoSound: {488, 606},
		Congestion: {429, 500, 502, 503, 504}, Rejected: {300, 302, 400, 403, 603, 607}, Over: {481},
	} {
		for _, code := range codes {
			e := outcome(sip.NewResponse(code, ""))
			if e.Class != class || e.Code != code || e.Temporary() != (class == Busy || class == NoAnswer || class == Congestion) {
				t.Errorf("%d is %+v", code, e)
			}
		}
	}
}

func TestMistakesInTheConfigurationAreTold(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no server":        {From: "1"},
		"a port too high":  {Server: "sip.example:99999", From: "1"},
		"no number":        {Server: "sip.example"},
		"a strange number": {Server: "sip.example", From: "1;tag=x"},
		"a transport":      {Server: "sip.example", From: "1", Transport: "sctp"},
		"an encryption":    {Server: "sip.example", From: "1", Encryption: "maybe"},
		"nobody registers": {Server: "sip.example", From: "1", Register: true},
		"our own address":  {Server: "127.0.0.1", From: "1", Local: "here"},
	} {
		if _, err := Open(t.Context(), cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%s gives %v", name, err)
		}
	}
}

func TestANumberIsNoHeader(t *testing.T) {
	trunk := open(t, Config{Server: "127.0.0.1:9", AskEvery: -1, Laws: []g711.Law{g711.A}})
	for _, number := range []string{"", "1@evil.example", "1\r\nX: y", "1;isub=2", "+1 555"} {
		if _, err := trunk.Call(t.Context(), number, CallOptions{}); ClassOf(err) != BadNumber {
			t.Errorf("%q gives %v", number, err)
		}
	}
}
