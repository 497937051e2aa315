package gateway

import "testing"

func TestReady(t *testing.T) {
	for _, n := range Names() {
		if _, err := Load(n); err != nil {
			t.Error(err)
		}
	}
}
