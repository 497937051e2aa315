package app

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"herald/app/config"
)

// collecting is a node with a folder to look into.
func collecting(t *testing.T) (cfg config.Config, inbox string) {
	cfg, inbox = settings(t), t.TempDir()
	cfg.Collectors.Folders = []config.FolderCollector{{
		Name: "prices", Path: inbox, Every: 100 * time.Millisecond, Page: 10, Mapping: config.Mapping{Type: "price.changed"},
	}}
	return cfg, inbox
}

func TestFilesThatAreFoundBecomeEvents(t *testing.T) {
	cfg, inbox := collecting(t)
	a, err := New(t.Context(), cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Stop(context.WithoutCancel(t.Context())) }()
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	text := "product,name,price,currency\nkettle,Kettle,49.5,EUR\nlamp,Lamp,much,EUR\n"
	if err := os.WriteFile(filepath.Join(inbox, "prices.csv"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	limit := time.After(time.Minute)
	for done := false; !done; {
		_, err := os.Stat(filepath.Join(inbox, "done", "prices.csv"))
		done = err == nil
		select {
		case <-again.C:
		case <-limit:
			state, err := a.Collectors.Get(t.Context(), "prices")
			t.Fatalf("the file is not taken: %+v, %v", state, err)
		}
	}
	_, metrics := get(t, http.DefaultClient, a.URL()+"/metrics")
	for status, n := range map[string]int{"accepted": 1, "refused": 1} {
		if want := fmt.Sprintf(`herald_collectors_events_total{collector="prices",status="%s"} %d`, status, n); !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	found := examineCollectors(t.Context(), cfg, a.DB.Pool())
	if len(found) != 1 || found[0].State != Warning || !strings.Contains(found[0].Text, "1 dead letters") {
		t.Errorf("the doctor says %+v", found)
	}
}

func TestTheDoctorReachesForCollectors(t *testing.T) {
	cfg, inbox := collecting(t)
	if found := examineCollectors(t.Context(), cfg, nil); found[0].State != Fine {
		t.Errorf("the doctor says %+v", found)
	}
	cfg.Collectors.Folders[0].Path = filepath.Join(inbox, "nowhere")
	cfg.Collectors.Streams = []config.StreamCollector{{Name: "s", URL: "nats://u:hunter2@127.0.0.1:1", Stream: "S", Consumer: "c"}}
	for _, f := range examineCollectors(t.Context(), cfg, nil) {
		if f.State != Warning || f.Advice == "" || strings.Contains(f.Text, "hunter2") {
			t.Errorf("the doctor says %+v", f)
		}
	}
}

func TestMistakesOfCollectorsAreFoundWhereTheyStand(t *testing.T) {
	for name, tt := range map[string]struct{ file, says string }{
		"two of one name": {"collectors:\n  streams:\n    - {name: a, url: nats://h, stream: S}\n    - {name: a, url: nats://h, stream: S}\n", ":4: collectors.streams[1].name another collector"},
		"no name":         {"collectors:\n  folders:\n    - {path: /tmp}\n", ":3: collectors.folders[0].name"},
		"no type":         {"collectors:\n  queries:\n    - {name: a, url: postgres://h/d, query: SELECT 1, cursor: id}\n", ":3: collectors.queries[0].type"},
		"a bad schedule":  {"collectors:\n  folders:\n    - name: a\n      path: /tmp\n      schedule: often\n", ":5: collectors.folders[0].schedule"},
		"a wrong cursor":  {"collectors:\n  queries:\n    - name: a\n      url: postgres://h/d\n      type: t\n      cursor: id\n      query: SELECT * FROM t WHERE id > {cursor}\n", ":7: collectors.queries[0].query write >="},
		"a wrong stream":  {"collectors:\n  streams:\n    - name: a\n      url: nats://h\n      stream: a.b\n", ":5: collectors.streams[0].stream"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "herald.yaml")
			if err := os.WriteFile(path, []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := config.Load(path, nil, Check); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("says %v, want %q", err, tt.says)
			}
		})
	}
}
