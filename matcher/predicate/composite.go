package predicate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// maxComposite is how long a composite key stands as it is, in bytes.
const maxComposite = 200

// KeyOf is one text of at most 200 bytes for the values of some attributes of
// an event: the same for equal values, and another one for other values, types
// or attributes. It is empty when one of them is absent. The error is of a
// value that cannot be compared for equality.
func KeyOf(attributes []string, event map[string]any) (string, error) {
	var key []byte
	for _, name := range attributes {
		value := event[name]
		if value == nil {
			return "", nil
		}
		var err error
		if key, err = appendPart(appendText(key, 'a', name), value); err != nil {
			return "", fmt.Errorf("event.%s: %w", name, err)
		}
	}
	if len(key) <= maxComposite {
		return string(key), nil
	}
	sum := sha256.Sum256(key)
	return "#" + hex.EncodeToString(sum[:]), nil
}
