package templates

import (
	"context"
	"fmt"
	"maps"

	"golang.org/x/text/language"

	"herald/problem"
)

// Render fills the template in force from data (see Sample for its shape),
// in the nearest locale there is: zh-CN, then zh, then en. A version saved on
// another node is used within three seconds.
//
// It fails with problem.NotFound when no locale has the template, and with
// problem.Invalid, naming field and line, when it cannot be filled: it prints
// more than 512 KiB, loops more than 10,000 times, takes more than two
// seconds, or a filter is given what it cannot use.
func (s *Store) Render(ctx context.Context, name, channel, locale string, data map[string]any) (Content, error) {
	for _, candidate := range s.fallbacks(locale) {
		c, found, err := s.inForce(ctx, key{name, channel, candidate})
		if err != nil {
			return Content{}, err
		}
		if !found {
			continue
		}
		content, err := s.fill(ctx, c, data)
		if err != nil && ctx.Err() != nil { // the caller left; the template is not to blame
			return Content{}, fmt.Errorf("render template %s: %w", name, ctx.Err())
		}
		return content, err
	}
	return Content{}, notFound(name, channel, locale)
}

// Preview fills t from data without saving it, as Render would; its errors are
// those of Save.
func (s *Store) Preview(ctx context.Context, t Template, data map[string]any) (Content, error) {
	c, err := compileTemplate(t)
	if err != nil {
		return Content{}, err
	}
	return s.fill(ctx, c, data)
}

// companyVar is what templates call the company, by its name in their own
// language. No data can say another.
const companyVar = "company"

// fill fills c from data and the company's name. data is not changed.
func (s *Store) fill(ctx context.Context, c *compiled, data map[string]any) (Content, error) {
	named := make(map[string]any, len(data)+1)
	maps.Copy(named, data)
	delete(named, companyVar)
	if name := s.company(c.template.Locale); name != "" {
		named[companyVar] = name
	}
	return c.fill(ctx, named)
}

// fallbacks remembers what Fallbacks says of the locales that are asked for.
func (s *Store) fallbacks(locale string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	near, known := s.near[locale]
	if !known {
		if len(s.near) >= maxKept {
			clear(s.near)
		}
		near = Fallbacks(locale)
		s.near[locale] = near
	}
	return near
}

// Fallbacks are the locales that Render tries for a member's, nearest first:
// zh-Hans-CN, zh-CN, zh-Hans, zh, en.
func Fallbacks(locale string) []string {
	var found []string
	add := func(candidate string) {
		for _, f := range found {
			if f == candidate {
				return
			}
		}
		found = append(found, candidate)
	}
	tag, err := language.Parse(locale)
	if err == nil && locale != "" {
		add(tag.String())
		base, script, region := tag.Raw()
		if region != (language.Region{}) {
			add(base.String() + "-" + region.String())
		}
		if script != (language.Script{}) {
			add(base.String() + "-" + script.String())
		}
		add(base.String())
		if base.String() == "zh" {
			add("zh-CN") // the Chinese that Herald speaks, before English
		}
	}
	add("en")
	return found
}

// inForce is the compiled version in force, if the key has one. The first who
// finds it stale asks the database, and the others use what there is meanwhile.
func (s *Store) inForce(ctx context.Context, k key) (_ *compiled, found bool, err error) {
	s.mu.Lock()
	now := s.now()
	kept, known := s.kept[k]
	if known && now.Sub(kept.at) < freshFor {
		s.mu.Unlock()
		return kept.compiled, kept.compiled != nil, nil
	}
	if known {
		s.kept[k] = entry{kept.compiled, now}
	}
	s.mu.Unlock()

	c, err := s.load(ctx, k, kept.compiled)
	if err != nil {
		return nil, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if saved := s.kept[k].compiled; saved != nil && (c == nil || saved.template.Version > c.template.Version) {
		return saved, true, nil // saved here while we asked
	}
	if len(s.kept) >= maxKept {
		clear(s.kept)
	}
	s.kept[k] = entry{c, now}
	return c, c != nil, nil
}

// load reads the version in force, and compiles it unless it is the one kept;
// it is nil when the key has none.
func (s *Store) load(ctx context.Context, k key, kept *compiled) (*compiled, error) {
	t, err := s.Get(ctx, k.name, k.channel, k.locale)
	if problem.CodeOf(err) == problem.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if kept != nil && kept.template.Version == t.Version {
		return kept, nil
	}
	c, err := compileTemplate(t)
	if err != nil {
		return nil, fmt.Errorf("template %s version %d: %w", k.name, t.Version, err)
	}
	return c, nil
}
