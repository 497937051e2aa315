// Package stream collects the CloudEvents of a stream of NATS JetStream.
//
// A Config comes in; the Stream that goes out is a collectors.Source that runs
// all the time. Messages are fetched by a durable pull consumer, as many as
// there are share a page, and each is acknowledged only after its page has been
// committed: what a crash leaves unacknowledged comes again and is known. A
// message that cannot be taken is kept as a dead letter and then terminated.
//
// Source: CloudEvents 1.0.2, NATS protocol binding (working draft),
// https://github.com/cloudevents/spec.
package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"herald/collectors"
	"herald/matcher/eventform"
	"herald/problem"
)

// Config is one stream. Fields are required unless they say otherwise.
type Config struct {
	URL         string   // nats://user:password@host:port or tls://…; several parted by commas. It is a secret.
	Stream      string   // the stream's name
	Consumer    string   // the durable consumer's; it is made when it is not there
	Subjects    []string // what the consumer is made for; none: all of the stream
	Credentials string   // a file with a user's JWT and seed; may be empty
	RootCAs     string   // a PEM file; empty: the system's
	Certificate string   // a PEM file with the client's certificate; may be empty
	Key         string   // and one with its key
	Page        int      // messages that share a transaction, at most 1,000; 500 when zero
	// AckWait is how long the server waits before it gives a message again, for
	// a consumer that is made; 2 min when zero.
	AckWait time.Duration
	// Types are what the triggers want, read anew for each page with XML.
	Types func(context.Context) (eventform.Types, error)
}

// Mistakes are what is wrong with a configuration, by its fields' names.
func (c Config) Mistakes() problem.Fields {
	var f problem.Fields
	for server := range strings.SplitSeq(c.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		if err != nil || u.Host == "" || u.Scheme != "nats" && u.Scheme != "tls" {
			f.Add("url", "url", "must be nats://host:4222 or tls://host:4222, several parted by commas")
			break
		}
	}
	for field, name := range map[string]string{"stream": c.Stream, "consumer": c.Consumer} {
		if name == "" || strings.ContainsAny(name, " .*>/\\\t\r\n") {
			f.Add(field, "name", "is %q and must be a name without spaces, dots, slashes and wildcards", name)
		}
	}
	if (c.Certificate == "") != (c.Key == "") {
		f.Add("key", "required", "give certificate and key, or neither")
	}
	return f
}

// Stream collects one stream.
type Stream struct {
	cfg     Config
	secrets []string
}

// New makes a collector of a stream; it connects when it collects. Errors are
// those of Mistakes.
func New(c Config) (*Stream, error) {
	if err := c.Mistakes().Err("the stream cannot be collected"); err != nil {
		return nil, err
	}
	if c.Page <= 0 {
		c.Page = 500
	}
	if c.AckWait <= 0 {
		c.AckWait = 2 * time.Minute
	}
	s := &Stream{cfg: c}
	for server := range strings.SplitSeq(c.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		if err != nil || u.User == nil {
			continue // Mistakes has seen it
		}
		if password, ok := u.User.Password(); ok {
			s.secrets = append(s.secrets, password)
		} else { // a token
			s.secrets = append(s.secrets, u.User.Username())
		}
	}
	return s, nil
}

const (
	connectWithin = 10 * time.Second
	// beat is how often the server says that it is there; silence of twice as
	// long ends a run.
	beat = 5 * time.Second
	// gather is how long a page waits for more messages.
	gather = 5 * time.Millisecond
)

// connect connects once: a connection that is lost is made anew by the next run.
func (s *Stream) connect() (*nats.Conn, error) {
	options := []nats.Option{nats.Name("herald"), nats.Timeout(connectWithin), nats.NoReconnect()}
	if s.cfg.Credentials != "" {
		options = append(options, nats.UserCredentials(s.cfg.Credentials))
	}
	if s.cfg.RootCAs != "" {
		options = append(options, nats.RootCAs(s.cfg.RootCAs))
	}
	if s.cfg.Certificate != "" {
		options = append(options, nats.ClientCert(s.cfg.Certificate, s.cfg.Key))
	}
	if strings.HasPrefix(s.cfg.URL, "tls://") {
		options = append(options, nats.Secure(&tls.Config{MinVersion: tls.VersionTLS12}))
	}
	conn, err := nats.Connect(s.cfg.URL, options...)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return conn, nil
}

// consumer is the durable consumer, made where it is not there.
func (s *Stream) consumer(ctx context.Context, conn *nats.Conn) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	c, err := js.Consumer(ctx, s.cfg.Stream, s.cfg.Consumer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		c, err = js.CreateConsumer(ctx, s.cfg.Stream, jetstream.ConsumerConfig{
			Durable: s.cfg.Consumer, AckPolicy: jetstream.AckExplicitPolicy, AckWait: s.cfg.AckWait, FilterSubjects: s.cfg.Subjects,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("consumer %s of stream %s: %w", s.cfg.Consumer, s.cfg.Stream, err)
	}
	return c, nil
}

// position is for those who look: where the stream stands is the consumer's to
// know.
type position struct {
	Sequence uint64 `json:"sequence"` // of the last message
}

// Collect implements collectors.Source.
func (s *Stream) Collect(ctx context.Context, turn *collectors.Turn) error {
	return s.hidden(s.collect(ctx, turn))
}

func (s *Stream) collect(ctx context.Context, turn *collectors.Turn) error {
	conn, err := s.connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	consumer, err := s.consumer(ctx, conn)
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(s.cfg.Page), jetstream.PullHeartbeat(beat))
	if err != nil {
		return fmt.Errorf("fetch messages: %w", err)
	}
	defer giveBack(conn, messages)
	var at position
	if err := turn.Position(&at); err != nil {
		return err
	}
	if err := turn.Take(ctx, nil, at); err != nil { // what went wrong before is over
		return err
	}
	for {
		page, err := s.page(ctx, messages)
		if err != nil {
			return err
		}
		if err := s.take(ctx, turn, page, &at); err != nil {
			return err
		}
	}
}

// giveBack returns what was fetched and is not in, so that it comes again at
// once and not after AckWait.
func giveBack(conn *nats.Conn, messages jetstream.MessagesContext) {
	messages.Drain()
	for {
		m, err := messages.Next(jetstream.NextMaxWait(time.Second))
		if err != nil {
			break
		}
		_ = m.Nak() // it comes again in any case
	}
	_ = conn.FlushTimeout(time.Second) // the server hears of it, or waits for AckWait
}

// page waits for a message and gathers those that are there besides.
func (s *Stream) page(ctx context.Context, messages jetstream.MessagesContext) ([]jetstream.Msg, error) {
	first, err := messages.Next(jetstream.NextContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("fetch messages: %w", err)
	}
	page := []jetstream.Msg{first}
	for len(page) < s.cfg.Page {
		m, err := messages.Next(jetstream.NextMaxWait(gather))
		if err != nil {
			break // nothing is there, or the next call says what is wrong
		}
		page = append(page, m)
	}
	return page, nil
}

// take takes a page and then acknowledges it. What fails leaves the page to
// come again.
func (s *Stream) take(ctx context.Context, turn *collectors.Turn, page []jetstream.Msg, at *position) (err error) {
	defer func() {
		if err != nil {
			for _, m := range page {
				_ = m.Nak() // it comes again in any case
			}
		}
	}()
	types, err := s.cfg.Types(ctx)
	if err != nil {
		return err
	}
	items := make([]collectors.Item, len(page))
	for i, m := range page {
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("a message of no stream: %w", err)
		}
		items[i] = read(message{m.Headers(), m.Data()}, types)
		// The time tells streams apart that were made anew under one name.
		items[i].Key = meta.Stream + ":" + strconv.FormatUint(meta.Sequence.Stream, 10) + ":" + strconv.FormatInt(meta.Timestamp.UnixNano(), 10)
		items[i].Place = fmt.Sprintf("%s #%d, %s", meta.Stream, meta.Sequence.Stream, m.Subject())
		at.Sequence = max(at.Sequence, meta.Sequence.Stream)
		turn.Waiting(int64(meta.NumPending)) //nolint:gosec // below 2⁶³
	}
	if err := turn.Take(ctx, items, *at); err != nil {
		return err
	}
	for i, m := range page {
		answer := m.Ack
		if turn.Dead(items[i].Key) {
			answer = func() error { return m.TermWithReason("kept as a dead letter") }
		}
		if err := answer(); err != nil {
			return fmt.Errorf("acknowledge messages: %w", err)
		}
	}
	return nil
}

// Reread implements collectors.Source.
func (s *Stream) Reread(ctx context.Context, key string, original []byte) (collectors.Item, error) {
	types, err := s.cfg.Types(ctx)
	if err != nil {
		return collectors.Item{}, err
	}
	m, err := parse(original)
	if err != nil {
		return collectors.Item{}, err
	}
	item := read(m, types)
	item.Key = key
	return item, nil
}

// Check implements collectors.Source.
func (s *Stream) Check(ctx context.Context) error {
	conn, err := s.connect()
	if err != nil {
		return s.hidden(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	js, err := jetstream.New(conn)
	if err != nil {
		return s.hidden(err)
	}
	// Who may use a consumer that was made for them need not see the stream.
	if _, err := js.Consumer(ctx, s.cfg.Stream, s.cfg.Consumer); err == nil {
		return nil
	}
	if _, err := js.Stream(ctx, s.cfg.Stream); err != nil {
		return s.hidden(fmt.Errorf("stream %s: %w", s.cfg.Stream, err))
	}
	return nil
}

// hidden is an error whose text shows no secret.
func (s *Stream) hidden(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, secret := range s.secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "(hidden)")
		}
	}
	if text == err.Error() {
		return err
	}
	return hiddenError{text, err}
}

type hiddenError struct {
	text string
	err  error
}

func (e hiddenError) Error() string { return e.text }
func (e hiddenError) Unwrap() error { return e.err }
