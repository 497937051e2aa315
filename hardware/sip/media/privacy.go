package media

import (
	"fmt"
	"slices"
	"strconv"
)

// privacy is the encryption of a session. Its zero value is that of plain
// sound.
type privacy struct {
	offers []secret // our own, of which the answer to our offer takes one; none: it was plain
	ours   *cipher  // of what we send; nil: it is plain
	theirs *cipher  // of what comes in; the goroutine that reads uses it
	before *cipher  // which theirs took the place of, until that is used
	unread int      // packets that came in and could not be decrypted
}

// terms are the secrets that the two sides agree on. Its zero value is plain
// sound.
type terms struct{ ours, theirs *secret }

// told is what our answer says of them.
func (t terms) told() []secret {
	if t.ours == nil {
		return nil
	}
	return []secret{*t.ours}
}

// offer gives the secrets of our offer: the one that we use stays, so that no
// packet is lost, and others are new. None: the offer is plain.
func (p *privacy) offer(encrypt bool) []secret {
	p.offers = nil
	if !encrypt && p.ours == nil {
		return nil
	}
	for i, suite := range suites {
		own := newSecret(strconv.Itoa(i+1), suite)
		if p.ours != nil && p.ours.secret.suite == suite {
			used := p.ours.secret
			used.tag, own = own.tag, used
		}
		p.offers = append(p.offers, own)
	}
	return p.offers
}

// accepted are the terms of an answer to our offer: it names one of ours by its
// tag and suite (RFC 4568, section 5.1.3), and has a key of its own. What is
// answered otherwise than it was offered is refused.
func (p *privacy) accepted(theirs []secret) (terms, error) {
	if len(p.offers) == 0 && len(theirs) == 0 {
		return terms{}, nil
	}
	for _, t := range theirs {
		if i := slices.IndexFunc(p.offers, func(o secret) bool {
			return o.tag == t.tag && o.suite == t.suite && o.master != t.master
		}); i >= 0 {
			return terms{&p.offers[i], &t}, nil
		}
	}
	if len(theirs) == 0 {
		return terms{}, fmt.Errorf("%w: we offered to encrypt it, and it would be plain", ErrNoAudio)
	}
	return terms{}, fmt.Errorf("%w: it would be encrypted otherwise than we offered", ErrNoAudio)
}

// offered are the terms of our answer to an offer: the first secret that we can
// use, and one of our own. That one is new whenever theirs is, as somebody else
// may be there now, who counts packets from the start.
func (p *privacy) offered(theirs []secret, encrypt bool) (terms, error) {
	if len(theirs) == 0 {
		if encrypt {
			return terms{}, fmt.Errorf("%w: it would be plain", ErrNoAudio)
		}
		return terms{}, nil
	}
	t := theirs[0]
	own := newSecret(t.tag, t.suite)
	if p.theirs != nil && p.theirs.secret.same(t) {
		own = p.ours.secret
		own.tag = t.tag
	}
	return terms{&own, &t}, nil
}

// use encrypts by terms from now on. A secret that was used before goes on where
// it was: to begin it anew would encrypt two packets alike (RFC 3711, section
// 9.1).
func (p *privacy) use(t terms) error {
	if t.ours == nil {
		p.ours, p.theirs, p.before = nil, nil, nil
		return nil
	}
	ours, err := p.ours.or(*t.ours)
	if err != nil {
		return err
	}
	theirs, err := p.theirs.or(*t.theirs)
	if err != nil {
		return err
	}
	if theirs != p.theirs {
		p.before = p.theirs
	}
	p.ours, p.theirs = ours, theirs
	p.offers = []secret{*t.ours}
	return nil
}

// or is a cipher itself if it is the secret's, or else a new one. c may be nil.
func (c *cipher) or(s secret) (*cipher, error) {
	if c != nil && c.secret.same(s) {
		return c, nil
	}
	return s.cipher()
}

// decrypted is a packet as it was before it was encrypted, if it was; it is
// not ok when it could not be decrypted. It is good until the next one.
func (s *Session) decrypted(packet []byte) (plain []byte, ok bool) {
	s.mu.Lock()
	theirs, before := s.privacy.theirs, s.privacy.before
	s.mu.Unlock()
	if theirs == nil {
		return packet, true
	}
	plain, err := theirs.open(packet)
	if err == nil && before == nil {
		return plain, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		if s.privacy.theirs == theirs {
			s.privacy.before = nil
		}
		return plain, true
	}
	if before != nil {
		if plain, err = before.open(packet); err == nil { // it was on its way
			return plain, true
		}
	}
	s.privacy.unread++
	return nil, false
}
