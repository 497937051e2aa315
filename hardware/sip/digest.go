package sip

import (
	"errors"
	"strings"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

// mostProofs is how often one request is sent with a proof of who we are: once
// more where the server says that its nonce was stale.
const mostProofs = 2

// errProof is why we do not prove who we are.
var errProof = errors.New("the provider does not know us by this name and password")

// challenges are the two ways to ask who we are, and to answer (RFC 3261,
// section 22).
var challenges = map[int]struct{ asks, proves string }{
	401: {"WWW-Authenticate", "Authorization"},
	407: {"Proxy-Authenticate", "Proxy-Authorization"},
}

// proof is what the answer to a request wants to see. proofs is how many the
// request was sent with. It fails with errProof.
func (t *Trunk) proof(req *sip.Request, res *sip.Response, proofs int) (sip.Header, error) {
	names := challenges[res.StatusCode]
	challenge := t.challenge(res.GetHeaders(names.asks))
	if challenge == nil || t.cfg.Password == "" || proofs >= mostProofs || proofs > 0 && !challenge.Stale {
		return nil, errProof
	}
	proof, err := digest.Digest(challenge, digest.Options{
		Method: req.Method.String(), URI: req.Recipient.String(), Username: t.cfg.Username, Password: t.cfg.Password, Count: 1,
	})
	if err != nil {
		return nil, errors.Join(errProof, err)
	}
	return sip.NewHeader(names.proves, proof.String()), nil
}

// proven is a request outside of calls again, with the proof that an answer
// to it wants.
func (t *Trunk) proven(req *sip.Request, res *sip.Response, proofs int) (*sip.Request, error) {
	proof, err := t.proof(req, res, proofs)
	if err != nil {
		return nil, err
	}
	again := req.Clone()
	again.RemoveHeader("Via")
	again.RemoveHeader(proof.Name())
	again.AppendHeader(proof)
	again.CSeq().SeqNo++
	return again, nil
}

// challenge is the first that we may answer; nil: there is none.
func (t *Trunk) challenge(headers []sip.Header) *digest.Challenge {
	for _, h := range headers {
		c, err := digest.ParseChallenge(h.Value())
		if err != nil || t.cfg.Realm != "" && c.Realm != t.cfg.Realm {
			continue
		}
		c.Algorithm = strings.ToUpper(c.Algorithm) // some write it in lower case
		if digest.CanDigest(c) {
			return c
		}
	}
	return nil
}
