package app

import (
	"fmt"

	"herald/dispatch/replies"
)

// buildReplies makes what takes what members write back.
func (a *App) buildReplies() error {
	r := a.cfg.Replies
	var err error
	a.replies, err = replies.NewStore(a.DB.Pool(), replies.Config{
		Contacts: a.Contacts, Suppressions: a.Consents, Deliveries: a.Deliveries, Announcer: a.news, Logger: a.log,
		Words: replies.Words{Stop: r.Stop, Start: r.Start, Help: r.Help}, Keep: r.Keep, Remember: r.Remember,
	})
	if err != nil {
		return fmt.Errorf("replies: %w", err)
	}
	return a.metrics.Register(a.replies)
}
