package stream_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"herald/collectors"
	"herald/collectors/collectortest"
	"herald/collectors/stream"
	"herald/matcher"
	"herald/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// post is a NATS server with a stream, and Herald.
type post struct {
	*collectortest.Herald
	options server.Options
	server  *server.Server
	js      jetstream.JetStream
}

func newPost(t testing.TB) *post {
	t.Helper()
	p := &post{Herald: collectortest.New(t), options: server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
		Username: "herald", Password: "hunter2",
	}}
	p.up()
	t.Cleanup(p.down)
	_, err := p.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "SHOP", Subjects: []string{"shop.>"}})
	p.Must(err)
	return p
}

func (p *post) up() {
	p.Helper()
	s, err := server.NewServer(&p.options)
	p.Must(err)
	go s.Start()
	if !s.ReadyForConnections(collectortest.Patience) {
		p.Fatal("the server does not start")
	}
	p.server = s
	port, ok := s.Addr().(*net.TCPAddr)
	if !ok {
		p.Fatalf("the server listens at %v", s.Addr())
	}
	p.options.Port = port.Port
	conn, err := nats.Connect(p.url("hunter2"), nats.NoReconnect())
	p.Must(err)
	p.Cleanup(conn.Close)
	p.js, err = jetstream.New(conn)
	p.Must(err)
}

func (p *post) down() {
	p.server.Shutdown()
	p.server.WaitForShutdown()
}

func (p *post) url(password string) string {
	return fmt.Sprintf("nats://herald:%s@127.0.0.1:%d", password, p.options.Port)
}

func (p *post) collector(change func(*stream.Config)) collectors.Collector {
	p.Helper()
	c := stream.Config{URL: p.url("hunter2"), Stream: "SHOP", Consumer: "herald", Page: 10, Types: p.Types}
	if change != nil {
		change(&c)
	}
	s, err := stream.New(c)
	p.Must(err)
	return collectors.Collector{Name: "shop", Kind: collectors.Stream, Source: s}
}

func (p *post) send(headers nats.Header, data string) {
	p.Helper()
	_, err := p.js.PublishMsg(p.Context(), &nats.Msg{Subject: "shop.prices", Header: headers, Data: []byte(data)})
	p.Must(err)
}

const price = `{"product":"kettle","name":"Kettle","price":49.5,"currency":"EUR"}`

func structured(id string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/shop","type":"price.changed","subject":"kettle","data":%s}`, id, price)
}

// pending is what the consumer has not heard of.
func (p *post) pending() (unacknowledged, left int) {
	p.Helper()
	c, err := p.js.Consumer(p.Context(), "SHOP", "herald")
	p.Must(err)
	info, err := c.Info(p.Context())
	p.Must(err)
	return info.NumAckPending, int(info.NumPending)
}

func (p *post) untilAcknowledged() {
	p.Helper()
	p.Until("all is acknowledged", func() bool {
		unacknowledged, left := p.pending()
		return unacknowledged == 0 && left == 0
	})
}

func TestEveryFormIsTakenAndAcknowledged(t *testing.T) {
	t.Parallel()
	p := newPost(t)
	p.send(nil, structured("1"))
	p.send(nats.Header{"content-type": {"application/cloudevents+json; charset=utf-8"}}, structured("2"))
	p.send(nats.Header{
		"Ce-Specversion": {"1.0"}, "ce-id": {"3"}, "ce-source": {"/shop"}, "ce-type": {"price.changed"}, "ce-subject": {"%6bettle"}, "content-type": {"application/json"},
	}, price)
	p.send(nats.Header{"content-type": {"application/cloudevents+xml"}},
		`<event specversion="1.0"><id>4</id><source>/shop</source><type>price.changed</type><subject>kettle</subject><data><product>kettle</product><name>Kettle</name><price>49.5</price><currency>EUR</currency></data></event>`)
	p.Start(p.collector(nil))
	p.UntilTaken(4)
	p.untilAcknowledged()
	for n, e := range p.Events() {
		want := collectortest.Price(fmt.Sprint(n+1), "kettle", 49.5)
		want.Subject, want.Data["name"] = "kettle", "Kettle"
		if diff := cmp.Diff(want, e); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if s := p.State("shop"); s.Waiting == nil || *s.Waiting != 0 || s.Accepted != 4 {
		t.Errorf("state %+v", s)
	}
}

func TestAPoisonedMessageIsKeptAndTerminated(t *testing.T) {
	t.Parallel()
	p := newPost(t)
	p.Start(p.collector(nil))
	p.send(nil, "{")
	p.send(nats.Header{"ce-specversion": {"1.0"}, "ce-id": {"b"}, "ce-source": {"/shop"}, "ce-type": {"price.changed"}}, `{"product":"kettle"}`)
	p.send(nats.Header{"content-type": {"application/xml"}}, "<batch/>")
	p.send(nil, structured("1"))
	p.UntilTaken(1)
	p.Until("three dead letters", func() bool { return len(p.Letters("shop")) == 3 })
	p.untilAcknowledged()
	letters := p.Letters("shop")
	if l := letters[1]; l.Place != "SHOP #2, shop.prices" || !strings.Contains(l.Reason, "data.price") || !strings.HasPrefix(string(l.Original), "ce-id: b\n") {
		t.Errorf("the second: %+v", l)
	}
	// It says the same when it is read again.
	item, err := p.collector(nil).Source.Reread(t.Context(), letters[1].Key, letters[1].Original)
	if diff := cmp.Diff(matcher.Event{ID: "b", Source: "/shop", Type: "price.changed", Data: map[string]any{"product": "kettle"}}, item.Event); diff != "" || err != nil || item.Err != nil {
		t.Errorf("read again: %v, %v (-want +got):\n%s", err, item.Err, diff)
	}
	if s := p.State("shop"); s.Refused != 3 {
		t.Errorf("state %+v", s)
	}
}

func TestWhatComesAgainIsKnown(t *testing.T) {
	t.Parallel()
	p := newPost(t)
	p.Start(p.collector(nil))
	p.Until("it runs", func() bool { return p.Intake.Pages.Load() > 0 })
	p.Intake.Fail(nil, collectortest.Once(errors.New("the answer is lost")))
	p.send(nil, structured("1"))
	p.send(nil, "{")
	p.Until("it has come again", func() bool { return p.State("shop").Duplicates > 0 })
	p.untilAcknowledged()
	p.UntilTaken(1)
	if letters := p.Letters("shop"); len(letters) != 1 {
		t.Errorf("letters %+v", letters)
	}
}

func TestAServerThatGoesAwayIsFoundAgain(t *testing.T) {
	t.Parallel()
	p := newPost(t)
	p.Start(p.collector(nil))
	p.send(nil, structured("1"))
	p.UntilTaken(1)
	p.down()
	p.Until("it fails", func() bool { return strings.Contains(p.State("shop").Error, "connect") })
	p.up()
	p.Until("it works", func() bool { return p.State("shop").Error == "" })
	p.send(nil, structured("2"))
	p.UntilTaken(2)
	p.untilAcknowledged()
}

func TestAnotherNodeGoesOnAtOnce(t *testing.T) {
	t.Parallel()
	p := newPost(t)
	first := p.Start(p.collector(nil))
	p.Start(p.collector(nil))
	for n := range 20 {
		p.send(nil, structured(fmt.Sprint(n)))
	}
	p.Until("some are in", func() bool { return p.Count() > 0 })
	first()
	p.UntilTaken(20)
	p.untilAcknowledged()
}

func TestWhatIsWrongIsSaidWithoutThePassword(t *testing.T) {
	t.Parallel()
	p := newPost(t)
	for name, tt := range map[string]struct {
		change func(*stream.Config)
		says   string
	}{
		"a wrong password": {func(c *stream.Config) { c.URL = p.url("secret-word") }, "Authorization"},
		"no server":        {func(c *stream.Config) { c.URL = "nats://herald:secret-word@127.0.0.1:1" }, "connect"},
		"no stream":        {func(c *stream.Config) { c.Stream = "NONE" }, "stream NONE"},
		"no credentials":   {func(c *stream.Config) { c.Credentials = "/nowhere" }, "nowhere"},
	} {
		c := p.collector(tt.change)
		err := c.Source.Check(t.Context())
		if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "secret-word") {
			t.Errorf("%s: check says %v", name, err)
		}
	}
	p.Must(p.collector(nil).Source.Check(t.Context()))
}

func TestTLS(t *testing.T) {
	t.Parallel()
	p := newPost(t)
	p.down()
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	certified.Close()
	p.options.TLSConfig = &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12}
	p.options.TLS = true
	s, err := server.NewServer(&p.options)
	p.Must(err)
	go s.Start()
	t.Cleanup(s.Shutdown)
	p.Until("it listens", func() bool { return s.ReadyForConnections(time.Second) })
	authority := filepath.Join(t.TempDir(), "ca.pem")
	p.Must(os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certified.Certificate().Raw}), 0o600))
	with := func(roots string) error {
		return p.collector(func(c *stream.Config) {
			c.URL, c.RootCAs = strings.Replace(c.URL, "nats:", "tls:", 1), roots
		}).Source.Check(context.WithoutCancel(t.Context()))
	}
	p.Must(with(authority))
	if err := with(""); err == nil {
		t.Error("a certificate that nobody vouches for was taken")
	}
}

func TestMistakesOfAConfiguration(t *testing.T) {
	t.Parallel()
	good := stream.Config{URL: "nats://a:4222, tls://b", Stream: "S", Consumer: "c"}
	if f := good.Mistakes(); f != nil {
		t.Errorf("the good one: %v", f)
	}
	for name, change := range map[string]func(*stream.Config){
		"url":      func(c *stream.Config) { c.URL = "http://h" },
		"stream":   func(c *stream.Config) { c.Stream = "a.b" },
		"consumer": func(c *stream.Config) { c.Consumer = "" },
		"key":      func(c *stream.Config) { c.Certificate = "x" },
	} {
		c := good
		change(&c)
		if f := c.Mistakes(); len(f) != 1 || f[0].Path != name {
			t.Errorf("%s: %v", name, f)
		}
		if _, err := stream.New(c); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
