package page

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"
)

//go:embed layout
var layoutFiles embed.FS

// templates are a site's pages, parsed once for each language so that "t"
// needs no telling which.
type templates struct {
	byLocale map[string]map[string]*template.Template // locale tag, page name
}

// errorPage is the page that shows a problem; it is in the layout folder.
const errorPage = "error"

func parseTemplates(pages fs.FS, layout Layout, c *Catalogue, a *Assets) (*templates, error) {
	t := &templates{byLocale: map[string]map[string]*template.Template{}}
	for _, l := range c.locales {
		frame := template.New("").Funcs(l.funcs(a))
		frame, err := frame.ParseFS(layoutFiles, "layout/parts.html", "layout/"+string(layout)+".html")
		if err != nil {
			return nil, err
		}
		if shared, err := fs.Glob(pages, "_*.html"); err != nil {
			return nil, err
		} else if len(shared) > 0 {
			if frame, err = frame.ParseFS(pages, shared...); err != nil {
				return nil, err
			}
		}
		set, err := parsePages(frame, pages)
		if err != nil {
			return nil, err
		}
		if set[errorPage], err = parsePage(frame, layoutFiles, "layout/error.html"); err != nil {
			return nil, err
		}
		for name, tmpl := range set {
			if err := checkPage(tmpl, l, a); err != nil {
				return nil, fmt.Errorf("page %s: %w", name, err)
			}
		}
		t.byLocale[l.Tag] = set
	}
	return t, nil
}

func parsePages(frame *template.Template, pages fs.FS) (map[string]*template.Template, error) {
	set := map[string]*template.Template{}
	files, err := fs.Glob(pages, "*.html")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if strings.HasPrefix(file, "_") {
			continue
		}
		name := strings.TrimSuffix(file, ".html")
		if set[name], err = parsePage(frame, pages, file); err != nil {
			return nil, err
		}
	}
	return set, nil
}

func parsePage(frame *template.Template, files fs.FS, file string) (*template.Template, error) {
	t, err := frame.Clone()
	if err != nil {
		return nil, err
	}
	if t, err = t.ParseFS(files, file); err != nil {
		return nil, err
	}
	for _, part := range []string{"title", "main"} {
		if t.Lookup(part) == nil {
			return nil, fmt.Errorf("%s does not define %q", path.Base(file), part)
		}
	}
	return t, nil
}
