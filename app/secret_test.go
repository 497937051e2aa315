package app

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"herald/app/config"
)

func TestSecretKeyIsMadeOnceAndKept(t *testing.T) {
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	var keys [8]string
	var starting sync.WaitGroup
	for i := range keys {
		starting.Go(func() { // nodes that start together
			key, err := secretKey(cfg)
			if err != nil {
				t.Error(err)
			}
			keys[i] = string(key)
		})
	}
	starting.Wait()
	for _, key := range keys {
		if len(key) < 32 || key != keys[0] {
			t.Fatalf("keys differ or are short: %q", keys)
		}
	}
	info, err := os.Stat(filepath.Join(cfg.DataDir, "secret.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("secret.key: %v, %v; want it readable by its owner alone", info.Mode(), err)
	}
	left, err := filepath.Glob(filepath.Join(cfg.DataDir, ".new-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestSecretKeyOfTheConfigurationIsUsed(t *testing.T) {
	cfg := config.Default()
	cfg.SecretKey = strings.Repeat("k", 32)
	if key, err := secretKey(cfg); err != nil || string(key) != cfg.SecretKey {
		t.Errorf("secretKey = %q, %v", key, err)
	}
}

func TestSecretKeyThatCannotBeUsed(t *testing.T) {
	shared := config.Default()
	shared.Database.URL = "postgres://db/herald"
	spoiled := config.Default()
	spoiled.DataDir = t.TempDir()
	if err := os.WriteFile(filepath.Join(spoiled.DataDir, "secret.key"), []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	nowhere := config.Default()
	nowhere.DataDir = filepath.Join(t.TempDir(), "none")
	tests := map[string]struct {
		cfg  config.Config
		want string
	}{
		"a shared database without one": {shared, "secret_key is not set"},
		"a spoiled file":                {spoiled, "holds no usable key"},
		"no such directory":             {nowhere, "no such file"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := secretKey(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want it to say %q", err, tt.want)
			}
		})
	}
}
