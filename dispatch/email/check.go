package email

import "context"

// Check connects, encrypts and signs in, and says goodbye again; no message is
// spoken of. It fails with *dispatch.SendError.
func (m *Mailer) Check(ctx context.Context) error {
	s, err := m.dial(ctx)
	if err != nil {
		return err
	}
	return s.Close(ctx)
}
