package page

import (
	"errors"
	"fmt"
	"html/template"
)

// funcs are what templates of one language may call.
func (l *Locale) funcs(a *Assets) template.FuncMap {
	return template.FuncMap{
		"t":        l.T,        // t "alerts.count" "count" 4
		"word":     l.Word,     // word "state" .State
		"has":      l.Has,      // has "a.key"
		"n":        l.Number,   // n 1234.5 → 1,234.5
		"money":    l.Money,    // money 499 "CNY" → ¥499
		"measure":  l.Measure,  // measure 5 "%" → 5%
		"phone":    l.Phone,    // phone "+8613800138000"
		"address":  l.Address,  // an address of any channel, in full
		"masked":   l.Masked,   // the same with its middle hidden
		"duration": l.Duration, // duration .CoolDown → 1 day
		"language": l.Language, // language "zh-CN" → Chinese (China)
		"actor":    l.Actor,    // actor "operator:ann" → operator ann
		"occasion": l.Occasion, // occasion "mid_autumn" "" → Mid-Autumn Festival
		"lang":     func() string { return l.Tag },
		"icon":     a.Icon,
		"asset":    a.Path,
		"field":    l.field,
		"dict":     dict,
		"list":     func(items ...any) []any { return items },
	}
}

// dict gathers names and values, for a template that takes more than one thing.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("dict wants names and values in pairs")
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		m[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return m, nil
}
