package api

import (
	"bytes"
	"encoding/json"
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// reference is the page at /docs/api: every operation by its group, without a
// script and without anything from elsewhere.
const reference = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}} API</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #182433; background: #fff }
code, pre { font: 14px/1.5 ui-monospace, monospace }
h2 { margin: 2.5rem 0 .5rem; border-bottom: 1px solid #dce1e7 }
details { border: 1px solid #dce1e7; border-radius: 6px; padding: .5rem .75rem; margin: .5rem 0 }
summary { cursor: pointer } summary code { margin-right: .5rem }
.method { display: inline-block; min-width: 4rem; font-weight: 600 }
table { border-collapse: collapse; margin: .5rem 0 } td { padding: .15rem 1rem .15rem 0; vertical-align: top }
.scope { color: #5d6b7e }
@media (prefers-color-scheme: dark) { body { color: #dce1e7; background: #182433 } h2, details { border-color: #3a4859 } .scope { color: #9aa7b8 } a { color: #7fb2ff } }
</style>
</head>
<body>
<h1>{{.Title}} API</h1>
<p>Send an API key with every request: <code>Authorization: Bearer hk_…</code>. Everything can be had in JSON and XML. The complete description is <a href="/openapi.json">/openapi.json</a> (also in <a href="/openapi.yaml">YAML</a>).</p>
{{range .Groups}}<h2>{{.Name}}</h2>
<p>{{.Description}}</p>
{{range .Operations}}<details id="{{.ID}}">
<summary><code><span class="method">{{.Method}}</span> {{.Path}}</code> {{.Summary}}</summary>
{{with .Description}}<p>{{.}}</p>{{end}}
<p class="scope">{{with .Scope}}Scope <code>{{.}}</code>. {{else}}Any key. {{end}}Answers {{range $i, $s := .Statuses}}{{if $i}}, {{end}}{{$s}}{{end}}.</p>
{{with .Params}}<table>{{range .}}<tr><td><code>{{.Name}}</code></td><td>{{.In}}</td><td>{{.Description}}</td></tr>{{end}}</table>{{end}}
{{with .Bodies}}<p>Body: {{range $i, $b := .}}{{if $i}}, {{end}}<code>{{$b}}</code>{{end}}</p>{{end}}
</details>
{{end}}{{end}}</body>
</html>
`

type group struct {
	Name, Description string
	Operations        []entry
}

type entry struct {
	ID, Method, Path, Summary, Description, Scope string
	Statuses, Bodies                              []string
	Params                                        []*huma.Param
}

func referencePage(api *huma.OpenAPI) ([]byte, error) {
	page, err := template.New("reference").Parse(reference)
	if err != nil {
		return nil, err
	}
	groups := make([]group, len(api.Tags))
	for i, tag := range api.Tags {
		groups[i] = group{Name: tag.Name, Description: tag.Description, Operations: operationsOf(api, tag.Name)}
	}
	var b bytes.Buffer
	err = page.Execute(&b, map[string]any{"Title": api.Info.Title, "Groups": groups})
	return b.Bytes(), err
}

func operationsOf(api *huma.OpenAPI, tag string) []entry {
	var list []entry
	for _, path := range slices.Sorted(maps.Keys(api.Paths)) {
		item := api.Paths[path]
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op == nil || !slices.Contains(op.Tags, tag) {
				continue
			}
			e := entry{
				ID: op.OperationID, Method: op.Method, Path: path, Summary: op.Summary, Description: op.Description,
				Params: op.Parameters, Scope: strings.Join(op.Security[0][keyScheme], " "), Statuses: slices.Sorted(maps.Keys(op.Responses)),
			}
			e.Statuses = slices.DeleteFunc(e.Statuses, func(s string) bool { return s == "default" })
			if op.RequestBody != nil {
				e.Bodies = slices.Sorted(maps.Keys(op.RequestBody.Content))
			}
			list = append(list, e)
		}
	}
	return list
}

// jsonValue is a JSON text as a value, for examples.
func jsonValue(text string) any {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return text
	}
	return v
}
