package gateway

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"herald/dispatch"
	"herald/dispatch/sms"
)

// compose writes a message's text in parts.
func (g *Gateway) compose(m dispatch.Message) (sms.Composition, error) {
	c, err := sms.Compose(m.Content.Text, g.cfg.Text)
	if longest := g.description.spec.Text.Longest; err == nil && longest > 0 && len(c.Parts) > longest {
		return c, fmt.Errorf("the text has %d parts, and the gateway takes %d", len(c.Parts), longest)
	}
	return c, err
}

// view is what the texts of a message's request are filled from, without the
// parts' own.
func (g *Gateway) view(m dispatch.Message, c sms.Composition) message {
	v := message{
		account: g.identity(), To: m.Address, Name: m.Name, Text: c.Text, Subject: m.Content.Subject, Locale: m.Content.Locale,
		Purpose: string(m.Purpose), DeliveryID: m.DeliveryID.String(), WireID: m.WireID, Attempt: m.Attempt,
		Key: m.DeliveryID.String(), Encoding: "gsm7", Part: 1, Parts: len(c.Parts), Now: g.now().UTC(), Nonce: rand.Text(),
	}
	if c.Encoding == sms.UCS2 {
		v.Encoding = "ucs2"
	}
	if !m.ExpiresAt.IsZero() {
		v.Expires, v.ValidFor = m.ExpiresAt.UTC(), max(m.ExpiresAt.Sub(v.Now), 0)
	}
	v.Hex = hex.EncodeToString(bytes.Join(c.Parts, nil))
	if len(c.Parts) == 1 {
		v.Octets = hex.EncodeToString(c.Octets(0, 0))
	}
	if g.cfg.CallbackURL != "" {
		v.Receipts = g.CallbackAddress(KindReceipt) + and(g.token) + deliveryKey + "=" + v.DeliveryID
		v.Inbound = g.CallbackAddress(KindInbound)
	}
	return v
}

// and is what stands before a further parameter of a callback's address.
func and(token string) string {
	if token == "" {
		return "?"
	}
	return "&"
}

// request is what hands a message over.
func (g *Gateway) request(v message) (*outgoing, error) {
	d := g.description
	address, err := d.url.fill(target{account: v.account, To: v.To, DeliveryID: v.DeliveryID})
	if err != nil {
		return nil, err
	}
	r := &outgoing{method: d.spec.Request.Method, header: http.Header{"User-Agent": {"Herald"}}}
	if r.url, err = url.Parse(address); err != nil {
		return nil, errors.New("the address of the request is none")
	}
	if r.url.Scheme != g.base.Scheme || r.url.Host != g.base.Host || r.url.RawQuery != "" {
		return nil, errors.New("the address of the request is not the account's")
	}
	query, err := fillAll(d.query, v)
	if err != nil {
		return nil, err
	}
	r.url.RawQuery = encode(query)
	if err := g.fillBody(r, v); err != nil {
		return nil, err
	}
	for name, t := range d.headers {
		value, err := t.fill(v)
		if err != nil {
			return nil, err
		}
		if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c == 127 }) {
			return nil, fmt.Errorf("the header %s would have control characters", name)
		}
		if value != "" {
			r.header.Set(name, value)
		}
	}
	if d.sign != nil {
		if err := d.sign.sign(r, v); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (g *Gateway) fillBody(r *outgoing, v message) (err error) {
	d := g.description
	switch {
	case len(d.form) > 0:
		form, err := fillAll(d.form, v)
		if err != nil {
			return err
		}
		r.header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.body = []byte(encode(form))
	case d.json != nil:
		tree, err := fillTree(d.json, v)
		if err != nil {
			return err
		}
		written, err := asJSON(tree)
		if err != nil {
			return err
		}
		r.header.Set("Content-Type", "application/json")
		r.body = []byte(written)
	case d.body != nil:
		filled, err := d.body.fill(v)
		if err != nil {
			return err
		}
		r.header.Set("Content-Type", "text/plain; charset=utf-8") // the description can say otherwise
		r.body = []byte(filled)
	}
	return nil
}

// fillAll fills parameters; those that come out empty are left out.
func fillAll(texts map[string]*text, v message) (url.Values, error) {
	values := url.Values{}
	for name, t := range texts {
		value, err := t.fill(v)
		if err != nil {
			return nil, err
		}
		if value != "" {
			values.Set(name, value)
		}
	}
	return values, nil
}

// encode writes parameters in the order of their names, with %20 for a space:
// every reader knows that, and signatures ask for it (RFC 3986, section 2.1).
func encode(values url.Values) string { return strings.ReplaceAll(values.Encode(), "+", "%20") }

// fillTree fills the texts within a JSON value; members that come out empty
// are left out.
func fillTree(v any, m message) (any, error) {
	switch v := v.(type) {
	case *text:
		return v.fill(m)
	case map[string]any:
		out := map[string]any{}
		for name, inner := range v {
			filled, err := fillTree(inner, m)
			if err != nil {
				return nil, err
			}
			if filled != "" {
				out[name] = filled
			}
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			filled, err := fillTree(inner, m)
			if err != nil {
				return nil, err
			}
			out[i] = filled
		}
		return out, nil
	}
	return v, nil
}

// wire is the request as it is written.
func (r *outgoing) wire() ([]byte, error) {
	request := &http.Request{
		Method: r.method, URL: r.url, Host: r.url.Host, Header: r.header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		ContentLength: int64(len(r.body)),
	}
	if len(r.body) > 0 {
		request.Body = io.NopCloser(bytes.NewReader(r.body))
	}
	var out bytes.Buffer
	if err := request.Write(&out); err != nil {
		return nil, fmt.Errorf("write the request: %w", err)
	}
	return out.Bytes(), nil
}
