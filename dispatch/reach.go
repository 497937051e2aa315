package dispatch

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"herald/subscriptions"
)

// reach is how the members of ns can be reached. Most can on the first channel
// at their first contact point, which is quick to find out; of the others
// everything is read.
func (s *Store) reach(ctx context.Context, q subscriptions.Querier, ns []Notification) (map[int64]subscriptions.Reach, error) {
	asked := make([]subscriptions.Usage, 0, len(ns))
	for _, n := range ns {
		if len(n.Channels) > 0 {
			asked = append(asked, subscriptions.Usage{MemberID: n.MemberID, Channel: n.Channels[0], Purpose: n.Purpose})
		}
	}
	usable, err := s.consents.Usable(ctx, q, asked)
	if err != nil {
		return nil, err
	}
	reach := make(map[int64]subscriptions.Reach, len(asked))
	var whole []int64
	for i, u := range usable {
		known, met := reach[asked[i].MemberID]
		switch {
		case !u.OK || !slices.Contains(s.channels, asked[i].Channel):
			whole = append(whole, asked[i].MemberID)
		case met:
			one := u.Reach(asked[i].Purpose)
			known.Contacts, known.Consents = append(known.Contacts, one.Contacts...), append(known.Consents, one.Consents...)
			reach[asked[i].MemberID] = known
		default:
			reach[asked[i].MemberID] = u.Reach(asked[i].Purpose)
		}
	}
	for _, n := range ns {
		if n.ContactPoint != 0 { // a code goes to a contact point that is not yet verified
			whole = append(whole, n.MemberID)
		}
	}
	if len(whole) == 0 {
		return reach, nil
	}
	slices.Sort(whole)
	read, err := s.consents.Reach(ctx, q, slices.Compact(whole))
	if err != nil {
		return nil, fmt.Errorf("ask how members can be reached: %w", err)
	}
	maps.Copy(reach, read)
	return reach, nil
}
