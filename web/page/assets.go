package page

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed assets/dist
var dist embed.FS

// Assets are the built styles, scripts and icons.
type Assets struct {
	names map[string]string // "portal.css" → "portal-1a2b3c4d5e.css"
	files map[string]asset  // by the name with its hash
	icons map[string]string // what is inside the <svg>
}

type asset struct {
	mime        string
	plain, gzip []byte
}

// assetPrefix is where assets are served.
const assetPrefix = "/assets/"

// LoadAssets reads the embedded build and packs it for browsers that take gzip.
func LoadAssets() (*Assets, error) {
	a := &Assets{files: map[string]asset{}}
	var manifest struct{ Files map[string]string }
	if err := readJSON("manifest.json", &manifest); err != nil {
		return nil, err
	}
	if err := readJSON("icons.json", &a.icons); err != nil {
		return nil, err
	}
	a.names = manifest.Files
	for _, name := range a.names {
		plain, err := dist.ReadFile("assets/dist/" + name)
		if err != nil {
			return nil, fmt.Errorf("assets: %w", err)
		}
		packed, err := pack(plain)
		if err != nil {
			return nil, fmt.Errorf("assets: %s: %w", name, err)
		}
		a.files[name] = asset{mime: mime.TypeByExtension(path.Ext(name)), plain: plain, gzip: packed}
	}
	return a, nil
}

func readJSON(name string, into any) error {
	raw, err := dist.ReadFile("assets/dist/" + name)
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		return fmt.Errorf("assets: %s: %w", name, err)
	}
	return nil
}

func pack(plain []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Path is where an asset is served, with the hash of its content in its name.
func (a *Assets) Path(name string) (string, error) {
	hashed, ok := a.names[name]
	if !ok {
		return "", fmt.Errorf("there is no asset %q", name)
	}
	return assetPrefix + hashed, nil
}

// Icon draws an icon of assets/icons.txt, which says nothing to a screen
// reader: the word beside it does.
func (a *Assets) Icon(name string) (template.HTML, error) {
	inside, ok := a.icons[name]
	if !ok {
		return "", fmt.Errorf("there is no icon %q in assets/icons.txt", name)
	}
	return template.HTML(`<svg class="icon" width="20" height="20" viewBox="0 0 24 24" fill="none" stroke="currentColor"` + //nolint:gosec // built by us
		` stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">` + inside + `</svg>`), nil
}

// ServeHTTP serves the assets. A name contains the hash of its content, so
// browsers may keep it for ever.
func (a *Assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file, ok := a.files[strings.TrimPrefix(r.URL.Path, assetPrefix)]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", file.mime)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Add("Vary", "Accept-Encoding")
	content := file.plain
	if takesGzip(r) {
		h.Set("Content-Encoding", "gzip")
		content = file.gzip
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

func takesGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if name == "gzip" && strings.ReplaceAll(q, " ", "") != "q=0" {
			return true
		}
	}
	return false
}
