package email

import "context"

// Checked is what came of signing in at an account.
type Checked struct {
	Account string
	Err     error // a *dispatch.SendError; nil: mail could be sent
}

// Check connects to every account, encrypts and signs in, and says goodbye
// again; no message is spoken of. The answers are in the order of Config.
func (s *Sender) Check(ctx context.Context) []Checked {
	list := make([]Checked, len(s.accounts))
	for i, a := range s.accounts {
		list[i].Account = a.Name
		opened, err := dial(ctx, a.Account, a.tls)
		if err == nil {
			err = opened.close()
		}
		list[i].Err = err
	}
	return list
}
