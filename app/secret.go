package app

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"herald/app/config"
)

// secretKey is the configured key, or the one kept in the data directory,
// made there at the first start.
func secretKey(cfg config.Config) ([]byte, error) {
	if cfg.SecretKey != "" {
		return []byte(cfg.SecretKey), nil
	}
	if cfg.Database.URL != "" {
		return nil, errors.New("secret_key is not set: nodes on a shared database need the same one; `openssl rand -hex 32` makes one")
	}
	path := filepath.Join(cfg.DataDir, "secret.key")
	made := make([]byte, 32)
	if _, err := rand.Read(made); err != nil {
		return nil, fmt.Errorf("cannot make a secret key: %w", err)
	}
	if err := writeNew(path, hex.EncodeToString(made)+"\n"); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("cannot keep the secret key: %w", err)
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the secret key: %w", err)
	}
	key := strings.TrimSpace(string(kept))
	if len(key) < 32 {
		return nil, fmt.Errorf("%s holds no usable key; remove it to have a new one made (links in messages already sent stop working)", path)
	}
	return []byte(key), nil
}

// writeNew writes a file that must not be there yet, whole or not at all: two
// nodes that start at once must not read half of it.
func writeNew(path, text string) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	if _, err := temporary.WriteString(text); err != nil {
		temporary.Close()
		return err
	}
	if err := temporary.Sync(); err != nil {
		temporary.Close()
		return err
	}
	if err := temporary.Close(); err != nil {
		return err
	}
	return os.Link(temporary.Name(), path)
}
