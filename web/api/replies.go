package api

import (
	"context"
	"net/http"

	"herald/access"
	"herald/dispatch/replies"
)

// Replies is what *replies.Store does.
type Replies interface {
	Find(ctx context.Context, f replies.Filter) ([]replies.Reply, error)
	Get(ctx context.Context, id int64) (replies.Reply, error)
	Mark(ctx context.Context, id int64, read bool, by string) (replies.Reply, error)
}

// ReplyMark says whether somebody has read a reply.
type ReplyMark struct {
	Read bool `json:"read" required:"true" doc:"False: it waits to be read again."`
}

func (a *API) addReplies() {
	const path = "/replies/{id}"
	add(a, operation{
		id: "list-replies", method: http.MethodGet, path: "/replies", tag: tagReplies, scope: access.MembersRead,
		summary: "List what members wrote back", description: "Newest first: the inbox, or everything that came from one member.",
	}, a.listReplies)
	add(a, operation{
		id: "get-reply", method: http.MethodGet, path: path, tag: tagReplies, scope: access.MembersRead,
		summary: "Read a reply", description: "This does not mark it as read.",
	}, a.getReply)
	add(a, operation{
		id: "mark-reply", method: http.MethodPatch, path: path, tag: tagReplies, scope: access.MembersWrite,
		summary: "Mark a reply of the inbox as read, or as unread", description: "Who has read it first stays.",
	}, a.markReply)
}

func (a *API) listReplies(ctx context.Context, in *struct {
	PageQuery
	MemberID int64 `query:"member_id" minimum:"1" doc:"All that came from this member, keywords too."`
	Unread   bool  `query:"unread" doc:"Only what nobody has read."`
	Keywords bool  `query:"keywords" doc:"Also what was nothing but a keyword, which is not in the inbox."`
},
) (*out[Page[replies.Reply]], error) {
	before, err := in.after()
	if err != nil {
		return nil, err
	}
	list, err := a.cfg.Replies.Find(ctx, replies.Filter{
		MemberID: in.MemberID, Unread: in.Unread, All: in.Keywords, Before: before, Limit: in.Limit + 1,
	})
	if err != nil {
		return nil, err
	}
	return pageOf(list, in.Limit, func(r replies.Reply) string { return idCursor(r.ID) }), nil
}

func (a *API) getReply(ctx context.Context, in *NumberPath) (*out[replies.Reply], error) {
	return body(a.cfg.Replies.Get(ctx, in.ID))
}

func (a *API) markReply(ctx context.Context, in *struct {
	NumberPath
	Body ReplyMark
},
) (*out[replies.Reply], error) {
	return body(a.cfg.Replies.Mark(ctx, in.ID, in.Body.Read, callerOf(ctx).actor()))
}
