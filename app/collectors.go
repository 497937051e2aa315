package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/robfig/cron/v3"

	"herald/app/config"
	"herald/collectors"
	"herald/collectors/folder"
	"herald/collectors/mapping"
	"herald/collectors/poller"
	"herald/collectors/stream"
	"herald/matcher/eventform"
	"herald/problem"
)

// typesFunc reads what the triggers want the attributes of events to be.
type typesFunc func(context.Context) (eventform.Types, error)

// makeCollectors makes the collectors that the configuration names. What those
// who collect find wrong is among the mistakes, by the path of the configuration.
func makeCollectors(cfg config.Collectors, types typesFunc) ([]collectors.Collector, problem.Fields) {
	var list []collectors.Collector
	var mistakes problem.Fields
	add := func(path string, i int, c collectors.Collector, err error) {
		list = append(list, c)
		var p *problem.Error
		if errors.As(err, &p) {
			for _, m := range p.Fields {
				m.Path = fmt.Sprintf("collectors.%s[%d].%s", path, i, m.Path)
				mistakes = append(mistakes, m)
			}
		} else if err != nil {
			mistakes.Add(fmt.Sprintf("collectors.%s[%d]", path, i), "invalid", "%v", err)
		}
	}
	for i, c := range cfg.Queries {
		source, err := poller.New(poller.Config{
			URL: c.URL, Query: c.Query, Cursor: c.Cursor, Start: c.Start, Lag: c.Lag, Page: c.Page, Timeout: c.Timeout,
			Mapping: columns(c.Name, c.Mapping), Types: types,
		})
		add("queries", i, collectors.Collector{
			Name: c.Name, Kind: collectors.Query, Schedule: schedule(c.Every, c.Schedule), AtOnce: c.Schedule == "", Source: source,
		}, err)
	}
	for i, c := range cfg.Folders {
		var comma rune
		for _, comma = range c.Comma {
			break
		}
		source, err := folder.New(folder.Config{
			Path: c.Path, Pattern: c.Pattern, Format: folder.Format(c.Format), Comma: comma, Settle: c.Settle, Page: c.Page,
			Mapping: columns(c.Name, c.Mapping), Types: types, Now: time.Now,
		})
		add("folders", i, collectors.Collector{
			Name: c.Name, Kind: collectors.Folder, Schedule: schedule(c.Every, c.Schedule), AtOnce: c.Schedule == "", Source: source,
		}, err)
	}
	for i, c := range cfg.Streams {
		source, err := stream.New(stream.Config{
			URL: c.URL, Stream: c.Stream, Consumer: c.Consumer, Subjects: c.Subjects, Credentials: c.Credentials,
			RootCAs: c.RootCAs, Certificate: c.Certificate, Key: c.Key, Page: c.Page, Types: types,
		})
		add("streams", i, collectors.Collector{Name: c.Name, Kind: collectors.Stream, Source: source}, err)
	}
	return list, mistakes
}

// columns are those of a mapping that the configuration's check has let through.
func columns(name string, m config.Mapping) mapping.Mapping {
	zone, err := time.LoadLocation(m.TimeZone)
	if err != nil {
		zone = time.UTC
	}
	source := m.Source
	if m.SourceColumn == "" {
		source = cmp.Or(source, "/collectors/"+name)
	}
	return mapping.Mapping{
		ID: m.ID, Subject: m.Subject, Time: m.Time, Type: m.Type, TypeColumn: m.TypeColumn,
		Source: source, SourceColumn: m.SourceColumn, Data: m.Data, Zone: zone,
	}
}

// schedule is a cron expression that the configuration's check has let through,
// or so often.
func schedule(every time.Duration, expression string) collectors.Schedule {
	if s, err := cron.ParseStandard(expression); err == nil {
		return s
	}
	return collectors.Every(every)
}

// eventTypes reads the triggers.
func (s *Stores) eventTypes(ctx context.Context) (eventform.Types, error) {
	triggers, err := s.Triggers.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the triggers: %w", err)
	}
	return eventform.TypesOf(triggers), nil
}

// buildCollectors makes the collectors where this node takes events.
func (a *App) buildCollectors() error {
	if a.intake == nil || !a.cfg.Collectors.Any() {
		return nil
	}
	list, mistakes := makeCollectors(a.cfg.Collectors, a.eventTypes)
	if err := mistakes.Err("the collectors are not complete"); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	a.collectors = collectors.NewRunner(collectors.Config{
		Store: a.Collectors, Intake: a.intake, Collectors: list, Node: a.cfg.Node, Now: time.Now, Logger: a.log,
	})
	return a.metrics.Register(a.collectors)
}

// startCollectors begins to collect.
func (a *App) startCollectors(ctx context.Context) error {
	if a.collectors == nil {
		return nil
	}
	if err := a.collectors.Register(ctx); err != nil {
		return fmt.Errorf("collectors: %w", err)
	}
	a.begin("collectors", a.collectors.Run)
	return nil
}
