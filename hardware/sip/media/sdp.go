package media

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"herald/hardware/sip/g711"
	"herald/hardware/sip/tones"
)

// ErrNoAudio is what a far end's description wraps with which we cannot speak.
var ErrNoAudio = errors.New("there is no sound that both sides know")

// direction is which way sound goes, seen from who says so (RFC 3264, section 5.1).
type direction string

const (
	both     direction = "sendrecv"
	sendOnly direction = "sendonly"
	recvOnly direction = "recvonly"
	inactive direction = "inactive"
)

// mirrored is the same seen from the other side.
func (d direction) mirrored() direction {
	switch d {
	case sendOnly:
		return recvOnly
	case recvOnly:
		return sendOnly
	}
	return d
}

// The payload types that we offer (RFC 3551, table 4; RFC 4733).
const (
	typeMu     = 0
	typeA      = 8
	typeEvents = 101
)

// codec is a law and the payload type it has.
type codec struct {
	law  g711.Law
	kind byte
}

// usual are the codecs by their static payload types.
var usual = []codec{{g711.Mu, typeMu}, {g711.A, typeA}}

// description is what a far end says of its sound.
type description struct {
	at     netip.AddrPort // where it wants it; no valid address: nowhere (RFC 2543's hold)
	codecs []codec        // those that we know, the preferred first
	events byte           // the payload type of telephone-event
	keys   bool           // it has events
	goes   direction      // seen from the far end
	// secrets are those it may encrypt with, the preferred first, of which we
	// use one; none: its sound is plain.
	secrets []secret
	others  others
}

// others are the media beside the sound, such as video. Each side names them in
// its descriptions from then on, in the same order (RFC 3264, sections 6 and
// 8); port 0 refuses them.
type others struct {
	refused []*sdp.MediaDescription
	sound   int // the place of the sound among them
}

// with puts the sound into its place.
func (o others) with(sound *sdp.MediaDescription) []*sdp.MediaDescription {
	return slices.Insert(slices.Clone(o.refused), o.sound, sound)
}

// besides are the others of a description whose sound is the i-th medium.
func besides(media []*sdp.MediaDescription, i int) others {
	o := others{sound: i}
	for _, m := range slices.Delete(slices.Clone(media), i, i+1) {
		name := m.MediaName
		name.Port = sdp.RangedPort{}
		o.refused = append(o.refused, &sdp.MediaDescription{MediaName: name})
	}
	return o
}

// mostSDP is how long a description may be.
const mostSDP = 64 << 10

// parseSDP reads a description (RFC 8866) and takes its first sound.
func parseSDP(text []byte) (description, error) {
	var d description
	if len(text) > mostSDP {
		return d, fmt.Errorf("%w: the description has %d octets", ErrNoAudio, len(text))
	}
	session, err := parseSession(text)
	if err != nil {
		return d, fmt.Errorf("%w: %w", ErrNoAudio, err)
	}
	i := slices.IndexFunc(session.MediaDescriptions, func(m *sdp.MediaDescription) bool {
		return m.MediaName.Media == "audio" && m.MediaName.Port.Value != 0 && (isPlain(m) || isEncrypted(m))
	})
	if i < 0 {
		return d, fmt.Errorf("%w: none is offered, or it is encrypted in a way that is none of ours", ErrNoAudio)
	}
	audio := session.MediaDescriptions[i]
	d.others = besides(session.MediaDescriptions, i)
	if isEncrypted(audio) {
		if err := d.readSecrets(audio); err != nil {
			return d, err
		}
	}
	if err := d.place(audio, session.ConnectionInformation); err != nil {
		return d, err
	}
	d.goes = directionOf(audio, session)
	d.formats(audio)
	if len(d.codecs) == 0 {
		return d, fmt.Errorf("%w: its formats are %s", ErrNoAudio, strings.Join(audio.MediaName.Formats, " "))
	}
	return d, nil
}

// mediaLine is the line of a medium, up to its formats: what it is, its port,
// and what carries it (RFC 8866, section 5.14).
var mediaLine = regexp.MustCompile(`(?m)^m=(\S+) (\S+) (\S+)`)

// parseSession reads a description, with its media whatever they are: the
// library takes the whole for wrong where it does not know one, such as the fax
// of T.38 (m=image 4000 udptl t38).
func parseSession(text []byte) (*sdp.SessionDescription, error) {
	lines := mediaLine.FindAllSubmatch(text, -1)
	text = mediaLine.ReplaceAllFunc(text, func(line []byte) []byte {
		if bytes.HasPrefix(line, []byte("m=audio ")) {
			return line
		}
		return mediaLine.ReplaceAll(line, []byte("m=application $2 UDP"))
	})
	var session sdp.SessionDescription
	if err := session.Unmarshal(text); err != nil {
		return nil, err
	}
	if len(lines) != len(session.MediaDescriptions) {
		return nil, errors.New("its media cannot be told apart")
	}
	for i, line := range lines {
		name := &session.MediaDescriptions[i].MediaName
		name.Media, name.Protos = string(line[1]), strings.Split(string(line[3]), "/")
	}
	return &session, nil
}

func isPlain(m *sdp.MediaDescription) bool {
	p := m.MediaName.Protos
	return slices.Contains(p, "RTP") && !slices.Contains(p, "SAVP") && !slices.Contains(p, "SAVPF")
}

// isEncrypted is of keys in the description (RFC 4568), not of those that are
// agreed on by DTLS.
func isEncrypted(m *sdp.MediaDescription) bool {
	return slices.Equal(m.MediaName.Protos, []string{"RTP", "SAVP"})
}

// readSecrets reads the secrets that we can use: there must be one.
func (d *description) readSecrets(audio *sdp.MediaDescription) error {
	reason := errors.New("there is none")
	for _, a := range audio.Attributes {
		if a.Key != "crypto" {
			continue
		}
		s, err := parseSecret(a.Value)
		if err != nil {
			reason = err
			continue
		}
		d.secrets = append(d.secrets, s)
	}
	if len(d.secrets) == 0 {
		return fmt.Errorf("%w: it is encrypted with no key of use to us: %w", ErrNoAudio, reason)
	}
	return nil
}

// place reads where the far end wants its sound: c= of the medium is before
// that of the session.
func (d *description) place(audio *sdp.MediaDescription, c *sdp.ConnectionInformation) error {
	if audio.ConnectionInformation != nil {
		c = audio.ConnectionInformation
	}
	port := audio.MediaName.Port.Value
	if c == nil || c.Address == nil || port < 1 || port > 65_535 {
		return fmt.Errorf("%w: it has no address", ErrNoAudio)
	}
	host, _, _ := strings.Cut(c.Address.Address, "/")
	address, err := netip.ParseAddr(host)
	if err != nil || address.IsMulticast() {
		return fmt.Errorf("%w: its address is no one host's", ErrNoAudio)
	}
	if !address.IsUnspecified() {
		d.at = netip.AddrPortFrom(address.Unmap(), uint16(port))
	}
	return nil
}

func directionOf(audio *sdp.MediaDescription, session *sdp.SessionDescription) direction {
	for _, attributes := range [][]sdp.Attribute{audio.Attributes, session.Attributes} {
		for _, a := range attributes {
			switch d := direction(a.Key); d {
			case both, sendOnly, recvOnly, inactive:
				return d
			}
		}
	}
	return both
}

// formats reads the payload types in their order, and what rtpmap says of them.
func (d *description) formats(audio *sdp.MediaDescription) {
	names := map[string]string{strconv.Itoa(typeMu): "PCMU/8000", strconv.Itoa(typeA): "PCMA/8000"}
	for _, a := range audio.Attributes {
		if kind, name, found := strings.Cut(a.Value, " "); found && a.Key == "rtpmap" {
			names[kind] = strings.ToUpper(strings.TrimSuffix(strings.TrimSpace(name), "/1"))
		}
	}
	for _, format := range audio.MediaName.Formats {
		kind, err := strconv.ParseUint(format, 10, 7)
		if err != nil {
			continue
		}
		switch names[format] {
		case "PCMU/8000":
			d.codecs = append(d.codecs, codec{g711.Mu, byte(kind)})
		case "PCMA/8000":
			d.codecs = append(d.codecs, codec{g711.A, byte(kind)})
		case "TELEPHONE-EVENT/8000":
			if !d.keys {
				d.events, d.keys = byte(kind), true
			}
		}
	}
}

// own is what we say of ourselves.
type own struct {
	at          netip.AddrPort
	id, version uint64
	codecs      []codec
	events      byte
	keys        bool
	goes        direction
	secrets     []secret // none: our sound is plain
	others      others
}

func (o own) describe() ([]byte, error) {
	kind := "IP4"
	if o.at.Addr().Is6() {
		kind = "IP6"
	}
	host := o.at.Addr().String()
	var formats []string
	var attributes []sdp.Attribute
	for _, c := range o.codecs {
		formats = append(formats, strconv.Itoa(int(c.kind)))
		attributes = append(attributes, sdp.NewAttribute("rtpmap", fmt.Sprintf("%d %s/%d", c.kind, c.law, g711.Rate)))
	}
	if o.keys {
		formats = append(formats, strconv.Itoa(int(o.events)))
		attributes = append(
			attributes, sdp.NewAttribute("rtpmap", fmt.Sprintf("%d telephone-event/%d", o.events, g711.Rate)),
			sdp.NewAttribute("fmtp", fmt.Sprintf("%d 0-%d", o.events, len(tones.Digits)-1)),
		)
	}
	protocol := []string{"RTP", "AVP"}
	for _, secret := range o.secrets {
		protocol[1] = "SAVP"
		attributes = append(attributes, sdp.NewAttribute("crypto", secret.String()))
	}
	attributes = append(attributes, sdp.NewAttribute("ptime", strconv.FormatInt(FrameTime.Milliseconds(), 10)), sdp.NewPropertyAttribute(string(o.goes)))
	text, err := (&sdp.SessionDescription{
		Origin:                sdp.Origin{Username: "-", SessionID: o.id, SessionVersion: o.version, NetworkType: "IN", AddressType: kind, UnicastAddress: host},
		SessionName:           "-",
		ConnectionInformation: &sdp.ConnectionInformation{NetworkType: "IN", AddressType: kind, Address: &sdp.Address{Address: host}},
		TimeDescriptions:      []sdp.TimeDescription{{}},
		MediaDescriptions: o.others.with(&sdp.MediaDescription{
			MediaName:  sdp.MediaName{Media: "audio", Port: sdp.RangedPort{Value: int(o.at.Port())}, Protos: protocol, Formats: formats},
			Attributes: attributes,
		}),
	}).Marshal()
	if err != nil {
		return nil, fmt.Errorf("describing our sound: %w", err)
	}
	return text, nil
}
