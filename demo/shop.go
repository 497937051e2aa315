package demo

import (
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2/memstore"

	"herald/app"
	"herald/hardware/sim/texts"
	"herald/problem"
	"herald/web/page"
)

//go:embed pages
var pages embed.FS

// shop is the demonstration's shop: its prices, and the page on which a
// visitor changes one and sees whom Herald tells.
type shop struct {
	*stage
	base string

	mu     sync.Mutex
	prices map[string]float64 // by product
}

// newShop is the handler of the shop and, below /mail/, /phones/, /modem/,
// /calls/ and /faxes/, of the far ends' pages.
func newShop(s *stage, base string) (http.Handler, error) {
	files, err := fs.Sub(pages, "pages")
	if err != nil {
		return nil, err
	}
	site, err := page.New(page.Config{
		Name: "shop", Layout: page.Console, Pages: files, PublicURL: base,
		Sessions: memstore.New(), Logger: app.Logger(s.herald.Config().Log),
	})
	if err != nil {
		return nil, err
	}
	h := &shop{stage: s, base: base, prices: map[string]float64{}}
	for _, p := range products {
		h.prices[p.ID] = p.Price
	}
	mux := http.NewServeMux()
	mux.Handle("/mail/", http.StripPrefix("/mail", s.mail.Handler()))
	mux.Handle("/phones/", http.StripPrefix("/phones", s.centre.Handler()))
	mux.Handle("/modem/", http.StripPrefix("/modem", s.modem.Handler()))
	mux.Handle("/calls/", http.StripPrefix("/calls", s.phones.Handler()))
	mux.Handle("/faxes/", http.StripPrefix("/faxes", s.faxes.Handler()))
	mux.Handle("/", site.Handler([]page.Route{
		{Pattern: "GET /{$}", Handle: h.show},
		{Pattern: "GET /arrivals", Handle: h.arrivals, Live: true},
		{Pattern: "POST /price", Handle: h.change},
	}))
	return mux, nil
}

// shopData is what the page shows.
type shopData struct {
	Goods    []good
	Arrivals []arrival
	Total    int64
	Herald   string
}

type good struct {
	product
	Title string
	Price float64
	Form  *page.Form
}

// arrival is a message that came in.
type arrival struct {
	Icon string
	To   string
	Text string // of a mail its subject
	At   time.Time
}

// newest is how many arrivals are shown.
const newest = 12

func (h *shop) show(v *page.Visit) error { return v.Show("shop", h.data(v)) }

// arrivals moves the list of what came in, for as long as the page is open.
func (h *shop) arrivals(v *page.Visit) error {
	return v.Live("shop", "arrivals", 500*time.Millisecond, nil, func() (any, error) { return h.data(v), nil })
}

func (h *shop) data(v *page.Visit) shopData {
	h.mu.Lock()
	defer h.mu.Unlock()
	data := shopData{
		Herald: h.herald.URL(),
		Total: h.mail.Count() + received(h.centre.Texts()) + received(h.modem.Texts()) +
			answered(h.phones.Calls().All()) + h.faxes.Faxes().Count(),
		Arrivals: h.latest(v.Reader),
	}
	for _, p := range products {
		data.Goods = append(data.Goods, good{product: p, Title: p.title(v.Tag), Price: h.prices[p.ID]})
	}
	return data
}

// latest are the newest of all, the newest first.
func (h *shop) latest(r page.Reader) []arrival {
	var list []arrival
	for _, m := range last(h.mail.Messages()) {
		list = append(list, arrival{Icon: "mail", To: m.To[0], Text: m.Subject, At: m.ReceivedAt})
	}
	for _, box := range [][]texts.Text{h.centre.Texts().All(), h.modem.Texts().All()} {
		for _, t := range last(box) {
			if !t.Reply {
				list = append(list, arrival{Icon: "message", To: t.To, Text: t.Text, At: t.At})
			}
		}
	}
	for _, c := range last(h.phones.Calls().All()) {
		text := r.T("shop.missed")
		if c.Answered {
			text = r.T("shop.called", "heard", r.Duration(time.Duration(c.Lasted)))
		}
		list = append(list, arrival{Icon: "phone", To: c.To, Text: text, At: c.BeganAt})
	}
	for _, f := range last(h.faxes.Faxes().All()) {
		list = append(list, arrival{Icon: "printer", To: f.Number, Text: r.T("shop.faxed", "count", f.Pages), At: f.At})
	}
	slices.SortStableFunc(list, func(a, b arrival) int { return b.At.Compare(a.At) })
	return list[:min(len(list), newest)]
}

// last are the newest of a box.
func last[T any](box []T) []T { return box[max(0, len(box)-newest):] }

// change sets a price and tells Herald of it.
func (h *shop) change(v *page.Visit) error {
	form, err := v.Form()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(products, func(p product) bool { return p.ID == form.Get("product") })
	if i < 0 {
		return problem.New(problem.NotFound, "there is no such product")
	}
	price, err := strconv.ParseFloat(form.Get("price"), 64)
	if err != nil || price < 0.01 || price > 1_000_000 {
		v.Tell(page.Flash{Text: v.T("shop.price.wrong"), Bad: true})
		return v.Go("/")
	}
	h.mu.Lock()
	before := h.prices[products[i].ID]
	h.prices[products[i].ID] = price
	h.mu.Unlock()
	results, err := h.client.send(v.Context(), []event{priceChanged(products[i], v.Tag, before, price, time.Now())})
	if err != nil {
		return fmt.Errorf("cannot tell Herald: %w", err)
	}
	v.Say("shop.told", "count", results[0].Notifications, "product", products[i].title(v.Tag), "price", v.Money(price, products[i].Currency))
	return v.Go("/")
}
