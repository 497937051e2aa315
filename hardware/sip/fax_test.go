package sip_test

import (
	"strings"
	"testing"
	"time"

	"herald/e2e/peers"
	"herald/hardware/sip"
	"herald/hardware/sip/siptest"
)

// TestAFarEndThatTakesUsForAFaxIsSpokenToAsBefore: its gateway has heard tones
// and would rather have T.38. Without sound it is refused, and the call goes on
// as it was (RFC 3261, section 14.1); beside the sound, the sound is taken alone.
func TestAFarEndThatTakesUsForAFaxIsSpokenToAsBefore(t *testing.T) {
	t.Parallel()
	const (
		provisional = `<recv response="100" optional="true"></recv>`
		described   = "Content-Type: application/sdp"
		fax         = "m=image [media_port] udptl t38\na=T38FaxVersion:0\na=T38FaxUdpEC:t38UDPRedundancy"
	)
	session, sound, _ := strings.Cut(siptest.Sound, "m=audio")
	sound = "m=audio" + sound
	silenced := strings.Replace(sound, "[media_port]", "0", 1)
	refuses := func(number int, description string) string {
		return siptest.Ask("INVITE", number, description, described) + provisional + siptest.Gets("488") + siptest.Ask("ACK", number, "")
	}
	far := siptest.Playing(t, siptest.Answer("200 OK", siptest.Sound)+siptest.Gets("ACK")+
		refuses(1, session+fax)+refuses(2, session+silenced+"\n"+fax)+
		siptest.Ask("INVITE", 3, session+sound+"\n"+fax, described)+provisional+`<recv response="200"><action>
<ereg regexp="m=audio [1-9][0-9]* RTP/AVP.*m=image 0 udptl t38" search_in="body" check_it="true" assign_to="dummy"/></action></recv><Reference variables="dummy"/>`+siptest.Ask("ACK", 3, "")+
		siptest.Ask("INFO", 4, "Signal=5", "Content-Type: application/dtmf-relay")+siptest.Gets("200")+
		siptest.Gets("BYE")+siptest.Answer("200 OK", ""), "-m", "1", "-rtp_echo")
	call, err := trunk(t, sip.Config{Server: far.Addr, AskEvery: -1}).Call(t.Context(), "15550199", sip.CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-call.Digits():
	case <-time.After(peers.Patience):
		t.Fatalf("the call does not go on:\n%s", far.Said())
	}
	stop := call.Record(time.Minute)
	prompt := siptest.Prompt(t, "Your parcel is here.")
	if _, err := call.Play(t.Context(), append(prompt, make([]int16, 2000)...)); err != nil {
		t.Error(err)
	}
	if like := siptest.Likeness(prompt, stop()); like < siptest.Like {
		t.Errorf("it comes back with a likeness of %.3f", like)
	}
	if err := call.Hangup(t.Context()); err != nil {
		t.Error(err)
	}
	far.Succeeded()
}
