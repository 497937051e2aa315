package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// cluster is some nodes on one database, with members who all wait for the
// price of a kettle.
type cluster struct {
	t       *testing.T
	nodes   []*herald
	members int
	contact func(i int) contact // of member i

	mu   sync.Mutex
	urls []string // guarded by mu: where the nodes listen
}

// mailAccount is an entry of email.accounts that leads to a sink.
func mailAccount(name string, s *sink, more string) string {
	host, port, _ := net.SplitHostPort(s.addr)
	return fmt.Sprintf("{name: %s, host: %q, port: %s, tls: none, from: shop@example.com, from_name: The Shop, %s}", name, host, port, more)
}

// contact is a contact point as the API takes it.
type contact struct {
	Channel  string `json:"channel"`
	Address  string `json:"address"`
	Verified bool   `json:"verified"`
}

// account is what member i is called.
func account(i int) string { return fmt.Sprintf("waiter%05d", i) }

// newCluster starts n nodes that send through accounts of e-mail, and enrols
// members.
func newCluster(t *testing.T, database string, n, members int, accounts ...string) *cluster {
	t.Helper()
	byMail := func(i int) contact { return contact{"email", account(i) + "@example.com", true} }
	return newClusterOf(t, database, n, members, byMail, "HERALD_EMAIL_ACCOUNTS=["+strings.Join(accounts, ", ")+"]")
}

// newClusterOf is newCluster with settings that name the accounts.
func newClusterOf(t *testing.T, database string, n, members int, of func(i int) contact, settings ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, members: members, contact: of, urls: make([]string, n)}
	env := append([]string{
		"HERALD_DATABASE_URL=" + database,
		"HERALD_DATABASE_MAX_CONNECTIONS=30",
		"HERALD_SECRET_KEY=a key of at least thirty-two characters",
		"HERALD_HTTP_LISTEN=127.0.0.1:0",
		"HERALD_DISPATCH_FIRST_RETRY=200ms",
		"HERALD_API_REQUESTS_PER_SECOND=100000",
		"HERALD_API_BURST=100000",
	}, settings...)
	key := ""
	for i := range n {
		node := &herald{t: t, env: append([]string{"HERALD_NODE=" + nodeName(i)}, env...)}
		if key == "" {
			key = strings.TrimSpace(node.run("admin", "key", "e2e"))
		}
		node.key = key
		c.nodes = append(c.nodes, node)
		c.boot(i)
	}
	var enrolling sync.WaitGroup
	for worker := range 4 {
		enrolling.Go(func() {
			for i := worker; i < members && !t.Failed(); i += 4 {
				c.enrol(i)
			}
		})
	}
	enrolling.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return c
}

func nodeName(i int) string { return "node" + strconv.Itoa(i) }

// boot starts a node that is not running.
func (c *cluster) boot(i int) {
	c.t.Helper()
	c.nodes[i].boot()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.urls[i] = c.nodes[i].url
}

// enrol registers a member who waits for the kettle. It may be called by any
// goroutine.
func (c *cluster) enrol(i int) {
	reached := c.contact(i)
	var member struct {
		ID int64 `json:"id"`
	}
	status, text, err := c.ask("POST", "/api/v1/members", "application/json", map[string]any{
		"account": account(i), "contacts": []contact{reached},
	})
	if err == nil && status == http.StatusCreated {
		err = json.Unmarshal(text, &member)
	}
	if err != nil || member.ID == 0 {
		c.t.Errorf("enrol a member: %d %v: %s", status, err, text)
		return
	}
	status, text, err = c.ask("POST", "/api/v1/subscriptions", "application/json", map[string]any{
		"member_id": member.ID, "trigger": "price_drop", "cool_down": "0s", "params": map[string]any{"product": "kettle", "target": 1_000_000},
		"channels": []string{reached.Channel},
	})
	if err != nil || status != http.StatusCreated {
		c.t.Errorf("enrol a subscription: %d %v: %s", status, err, text)
	}
}

// ask sends a request to one of the nodes, by chance. It may be called by any
// goroutine.
func (c *cluster) ask(method, path, contentType string, body any) (int, []byte, error) {
	c.mu.Lock()
	h := herald{t: c.t, key: c.nodes[0].key, url: c.urls[rand.IntN(len(c.urls))]}
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return h.request(ctx, method, path, contentType, body)
}

// tell posts events, of whose prices each is told once, until they are
// accepted or ctx ends; then it is not known.
func (c *cluster) tell(ctx context.Context, prices ...int) error {
	events := make([]map[string]any, len(prices))
	for i, p := range prices {
		events[i] = price("siege-"+strconv.Itoa(p), p)
	}
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		status, text, err := c.ask("POST", "/api/v1/events", jsonBatch, events)
		switch {
		case err == nil && status == http.StatusAccepted:
			return nil
		case err == nil && status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests:
			return fmt.Errorf("POST events = %d: %.1000s", status, text)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("POST events: %w; last: %d %w", ctx.Err(), status, err)
		}
	}
}

// subjectOf is what a mail about a price is called.
func subjectOf(p int) string { return fmt.Sprintf("Kettle is now €%d.00", p) }

// rest waits until the ledger has nothing open, for as long as limit.
func (c *cluster) rest(limit time.Duration) ledger {
	c.t.Helper()
	return c.nodes[0].restWithin(limit)
}

// eventually asks again and again until done says so.
func eventually(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	over := time.After(limit)
	for !done() {
		select {
		case <-tick.C:
		case <-over:
			t.Fatalf("waited %v for %s", limit, what)
		}
	}
}

// freeze stops every node where it stands, until the function is called.
func (c *cluster) freeze() (thaw func()) {
	c.t.Helper()
	for _, node := range c.nodes {
		node.proc.signal(c.t, syscall.SIGSTOP)
		eventually(c.t, patience, "a node to stand still", func() bool { return standsStill(node.proc.cmd.Process.Pid) })
	}
	return func() {
		for _, node := range c.nodes {
			node.proc.signal(c.t, syscall.SIGCONT)
		}
	}
}

// standsStill reads a process's state out of /proc (proc(5)).
func standsStill(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return strings.HasPrefix(rest, "T")
}

// connectTo opens a pool of a test's own on the database.
func connectTo(t *testing.T, database string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// count is the one number that a query gives.
func count(t *testing.T, pool *pgxpool.Pool, query string) int64 {
	t.Helper()
	var n int64
	if err := pool.QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}
