package gateway

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"herald/dispatch"
	"herald/dispatch/sms"
	"herald/dispatch/sms/parts"
)

// Parts remembers how far messages of several parts have come; *parts.Store does.
type Parts interface {
	Begin(ctx context.Context, account string, starts []parts.Start) ([]parts.Progress, error)
	Accepted(ctx context.Context, account string, taken ...parts.Part) error
}

// noteWithin is how long the note of a part that was taken may take: it is
// made even when there is no time left for the message.
const noteWithin = 10 * time.Second

// partKey names a part in the address of its receipts.
const partKey = "herald-part"

// sendParts hands the parts over one by one, in their order and but for those
// that an earlier attempt brought there. The receipt's id is the first part's.
func (s *session) sendParts(ctx context.Context, m dispatch.Message, c sms.Composition, v message) (dispatch.Receipt, error) {
	g := s.gateway
	begun, err := g.parts.Begin(ctx, g.cfg.Name, []parts.Start{{DeliveryID: m.DeliveryID, Address: m.Address, Of: len(c.Parts), Text: c.Text}})
	if err != nil {
		return dispatch.Receipt{}, g.failure(dispatch.Transient, err)
	}
	progress := begun[0]
	said := dispatch.Receipt{Account: g.cfg.Name, ProviderID: progress.ProviderIDs[0]}
	var missed []parts.Part // taken, but not noted
	for i := range c.Parts {
		if progress.Accepted[i] {
			continue
		}
		receipt, err := s.hand(ctx, v.ofPart(c, progress.Reference, i))
		if err != nil {
			return dispatch.Receipt{}, g.stopped(ctx, err, missed)
		}
		if receipt.ProviderID == "" {
			receipt.ProviderID = partID(v.DeliveryID, strconv.Itoa(i+1))
		}
		missed = append(missed, parts.Part{DeliveryID: m.DeliveryID, Part: i, ProviderID: receipt.ProviderID})
		if g.note(ctx, missed) == nil {
			missed = nil
		}
		if i > 0 {
			receipt.ProviderID = said.ProviderID
		}
		said = receipt
	}
	return said, nil
}

func (g *Gateway) note(ctx context.Context, taken []parts.Part) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteWithin)
	defer cancel()
	return g.parts.Accepted(ctx, g.cfg.Name, taken...)
}

// stopped is what a failure in the middle means: when parts that were taken
// could not be noted, another attempt would send them again.
func (g *Gateway) stopped(ctx context.Context, err error, missed []parts.Part) error {
	if len(missed) == 0 || g.note(ctx, missed) == nil {
		return err
	}
	var failure *dispatch.SendError
	if errors.As(err, &failure) && failure.Class != dispatch.Permanent {
		failure.Class = dispatch.Doubt
	}
	return err
}

// ofPart is the view of one part, from 0.
func (v message) ofPart(c sms.Composition, reference uint16, part int) message {
	v.Part, v.Reference = part+1, int(reference)
	v.Header = hex.EncodeToString(c.Header(reference, part))
	v.Hex = hex.EncodeToString(c.Parts[part])
	v.Octets = hex.EncodeToString(c.Octets(reference, part))
	v.Key = fmt.Sprintf("%s-%d", v.DeliveryID, v.Part)
	if c.Encoding == sms.UCS2 {
		v.Text = sms.DecodeUCS2(c.Parts[part])
	} else {
		v.Text = sms.DecodeGSM7(c.Parts[part], c.Locking, c.Shift)
	}
	if v.Receipts != "" {
		v.Receipts += "&" + partKey + "=" + strconv.Itoa(v.Part)
	}
	return v
}

// partID is what a part is called whose provider calls it nothing.
func partID(delivery, part string) string { return delivery + "-" + part }
