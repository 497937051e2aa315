package page

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The built assets are committed; this finds those that do not stem from the
// present sources.
func TestAssetsStemFromTheirSources(t *testing.T) {
	var manifest struct{ Sources map[string]string }
	if err := readJSON("manifest.json", &manifest); err != nil {
		t.Fatal(err)
	}
	present := map[string]bool{}
	for _, pattern := range []string{
		"assets/package-lock.json", "assets/build.mjs", "assets/icons.txt", "assets/*.css", "assets/*.js",
		"layout/*.html", "../portal/pages/*.html", "../console/pages/*.html",
	} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			present[filepath.ToSlash(filepath.Join("page", f))] = true
		}
	}
	for source := range manifest.Sources {
		present[source] = true
	}
	for source := range present {
		raw, err := os.ReadFile(filepath.Join("..", source))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		sum := sha256.Sum256(raw)
		if manifest.Sources[source] != hex.EncodeToString(sum[:]) {
			t.Errorf("web/%s has changed since the assets were built: run make assets", source)
		}
	}
}

func TestAssetsAreKeptForEverAndPacked(t *testing.T) {
	a, err := LoadAssets()
	if err != nil {
		t.Fatal(err)
	}
	path, err := a.Path("portal.css")
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", path, nil)
	r.Header.Set("Accept-Encoding", "br, gzip;q=0.8")
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	if w.Code != http.StatusOK || w.Header().Get("Content-Encoding") != "gzip" {
		t.Errorf("status %d, encoding %q; want 200, gzip", w.Code, w.Header().Get("Content-Encoding"))
	}
	if got := w.Header().Get("Cache-Control"); !strings.Contains(got, "immutable") {
		t.Errorf("Cache-Control is %q, want immutable", got)
	}
	if got := w.Header().Get("Content-Type"); got != "text/css; charset=utf-8" {
		t.Errorf("Content-Type is %q", got)
	}

	w = httptest.NewRecorder()
	a.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	if w.Header().Get("Content-Encoding") != "" || !strings.Contains(w.Body.String(), "Tabler") {
		t.Error("a browser that does not take gzip gets the plain file, with Tabler's licence")
	}

	w = httptest.NewRecorder()
	a.ServeHTTP(w, httptest.NewRequest("GET", "/assets/../go.mod", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("a name that is not an asset's: status %d, want 404", w.Code)
	}
}

// A customer's page must load in under 100 KB; the page itself has the rest.
func TestStylesAreSmall(t *testing.T) {
	a, err := LoadAssets()
	if err != nil {
		t.Fatal(err)
	}
	if size := len(a.files[a.names["portal.css"]].plain); size > 80_000 {
		t.Errorf("portal.css has %d bytes, want at most 80000", size)
	}
}
