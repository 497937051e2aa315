package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"herald/subscriptions"
)

// spoken is a Sender whose provider says the same once, each time it is
// listened to, and hangs up.
type spoken struct {
	scripted
	times []time.Time // when it was listened to
}

func (*spoken) Channel() subscriptions.Channel { return subscriptions.SMS }

func (s *spoken) Reports(ctx context.Context, take func(context.Context, []Report) error) error {
	return errors.Join(take(ctx, []Report{{ProviderID: "7", Account: "somebody else's"}}), errors.New("it hung up"))
}

func (s *spoken) Receive(ctx context.Context, take func(context.Context, []Inbound) error) error {
	s.times = append(s.times, time.Now())
	return errors.Join(take(ctx, []Inbound{{Key: "k", Text: "STOP", Account: "somebody else's"}}), errors.New("it hung up"))
}

func TestAnAccountIsListenedToAgainAfterALongerAndLongerWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		talks, silent := &spoken{}, &scripted{}
		accounts := &Accounts{list: []*account{
			{name: "smsc", AccountConfig: AccountConfig{Sender: talks}, logger: slog.New(slog.DiscardHandler)},
			{name: "mail", AccountConfig: AccountConfig{Sender: silent}, logger: slog.New(slog.DiscardHandler)},
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		began, taken, reported := time.Now(), 0, 0
		go accounts.Reports(ctx, func(_ context.Context, reports []Report) error {
			if reported++; len(reports) != 1 || reports[0].Account != "smsc" {
				t.Errorf("reported %+v", reports)
			}
			return nil
		})
		accounts.Receive(ctx, func(_ context.Context, messages []Inbound) error {
			if taken++; len(messages) != 1 || messages[0].Account != "smsc" || messages[0].Channel != subscriptions.SMS || messages[0].Text != "STOP" {
				t.Errorf("taken %+v", messages)
			}
			return errors.New("the database is away")
		})
		synctest.Wait()
		if taken < 12 || taken != reported || time.Since(began) != 10*time.Minute {
			t.Errorf("taken %d times and reported %d times in %v", taken, reported, time.Since(began))
		}
		if first, last := talks.times[1].Sub(talks.times[0]), talks.times[taken-1].Sub(talks.times[taken-2]); first != listenPause || last != listenPauseMax {
			t.Errorf("it rested %v first and %v at last", first, last)
		}
	})
}

func TestAnAccountThatHadWorkedIsListenedToAgainSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		talks := &spoken{}
		accounts := &Accounts{list: []*account{
			{name: "smsc", AccountConfig: AccountConfig{Sender: talks}, logger: slog.New(slog.DiscardHandler)},
		}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		const worked = 5 * time.Minute
		accounts.Receive(ctx, func(ctx context.Context, _ []Inbound) error {
			pauseFor(ctx, worked)
			return nil
		})
		if n := len(talks.times); n < 10 || talks.times[n-1].Sub(talks.times[n-2]) != worked+listenPause {
			t.Errorf("listened to %d times", n)
		}
	})
}
