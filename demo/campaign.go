package demo

import (
	"context"
	"fmt"
)

// wording is what a campaign says on a channel in a language.
type wording struct {
	Channel string `json:"channel"`
	Locale  string `json:"locale"`
	Subject string `json:"subject"`
	Body    string `json:"body"`
}

// plan is a campaign as the API takes it.
type plan struct {
	Name     string         `json:"name"`
	Segment  map[string]any `json:"segment"`
	Channels []string       `json:"channels"`
	Messages []wording      `json:"messages"`
}

// weekOfTea is the draft that a visitor finds on the console: all members,
// some of whom did not agree to marketing, so that its dry run has something
// to tell.
func weekOfTea() plan {
	return plan{
		Name: "A week of tea", Segment: map[string]any{"all": true}, Channels: []string{"email"},
		Messages: []wording{
			{"email", "en", "A week of tea, {{ member.name }}", "Dear {{ member.name }},\n\nall teas are 20 % off until Sunday.\n\nNo more of these: {{ links.unsubscribe }}\n"},
			{"email", "zh", "{{ member.name }}，来喝杯茶吧", "{{ member.name }}，您好：\n\n本周茶叶一律八折，周日截止。\n\n不想再收到：{{ links.unsubscribe }}\n"},
		},
	}
}

// agree records that a member wants to hear of offers.
func (s *stage) agree(ctx context.Context, memberID int64) error {
	return s.client.put(ctx, fmt.Sprintf("/api/v1/members/%d/consents", memberID), map[string]any{
		"consents": []map[string]any{agreed("email"), agreed("sms")},
	})
}

func agreed(channel string) map[string]any {
	return map[string]any{"channel": channel, "purpose": "marketing", "granted": true, "evidence": "ticked the box when registering"}
}

// draft writes a campaign and counts whom it would reach; nobody is told
// before somebody starts it.
func (s *stage) draft(ctx context.Context, p plan) error {
	var made struct {
		ID int64 `json:"id"`
	}
	if err := s.client.post(ctx, "/api/v1/campaigns", "application/json", p, &made); err != nil {
		return err
	}
	return s.client.post(ctx, fmt.Sprintf("/api/v1/campaigns/%d/dry-run", made.ID), "application/json", struct{}{}, nil)
}
