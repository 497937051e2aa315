package e2e

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// pictures is the folder that the tests write the README's pictures into.
var pictures = flag.String("screenshots", "", "write pictures of the pages into this folder (relative to e2e/)")

// window is what a visitor looks at the pages with.
type window struct {
	width, height int64
	mobile        bool
	noScripts     bool
	language      string // as in Accept-Language
}

var (
	desktop = window{width: 1280, height: 800, language: "en"}
	phone   = window{width: phoneWidth, height: 844, mobile: true, noScripts: true, language: "zh-CN"}
)

// visitor is somebody at a browser of their own. Every page they come to is
// checked: see checkPage.
type visitor struct {
	t       *testing.T
	ctx     context.Context
	window  window
	origin  string // of the pages, such as http://127.0.0.1:8080
	traffic *traffic
	words   map[string]string // what the pages say instead of the story's English; nil: the same
	atMost  int               // bytes of a page with all that it loads; 0: not measured
}

// visit starts a headless Chromium for somebody who will look at the pages of
// one origin.
func visit(t *testing.T, origin string, w window) *visitor {
	t.Helper()
	options := append([]chromedp.ExecAllocatorOption{}, chromedp.DefaultExecAllocatorOptions[:]...)
	options = append(options,
		chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("accept-lang", w.language), chromedp.Flag("hide-scrollbars", true))
	if *pictures != "" {
		fonts, err := filepath.Abs("testdata/fonts.conf")
		if err != nil {
			t.Fatal(err)
		}
		options = append(options, chromedp.Env("FONTCONFIG_FILE="+fonts))
	}
	allocated, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocated)
	t.Cleanup(cancel)
	v := &visitor{t: t, ctx: ctx, window: w, origin: strings.TrimSuffix(origin, "/")}
	v.traffic = newTraffic(v.origin)
	v.must(chromedp.Do(ctx, v.resize(w.width)))
	// Every page is loaded as by a first visitor.
	_, err := chromedp.Call(ctx, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true})
	v.must(err)
	_, err = chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: w.noScripts})
	v.must(err)
	v.must(chromedp.Do(ctx, chromedp.Navigate(`data:text/html,<title>off</title><script>document.title = "on"</script>`)))
	if scripts := look[string](v, `document.title`); (scripts == "off") != w.noScripts {
		t.Fatalf("scripts are %s", scripts)
	}
	v.must(chromedp.Listen(ctx, v.traffic.hear))
	return v
}

// chromium is the browser's program.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("there is no Chromium to look at the pages with; on Debian: apt-get install chromium fonts-noto-cjk (make test-deps does it)")
	return ""
}

func (v *visitor) resize(width int64) chromedp.Action[chromedp.Void] {
	if v.window.mobile {
		return chromedp.EmulateViewport(width, v.window.height, chromedp.EmulateMobile)
	}
	return chromedp.EmulateViewport(width, v.window.height)
}

func (v *visitor) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

// say is what the pages say for the story's words.
func (v *visitor) say(words string) string {
	v.t.Helper()
	if v.words == nil {
		return words
	}
	said, ok := v.words[words]
	if !ok {
		v.t.Fatalf("the story has no translation of %q", words)
	}
	return said
}

// open goes to a path of the origin, or to a whole address.
func (v *visitor) open(address string) {
	v.t.Helper()
	v.openFor(http.StatusOK, address)
}

// openFor is open where the page that comes has another status.
func (v *visitor) openFor(status int64, address string) {
	v.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = v.origin + address
	}
	v.load("opening "+address, func(ctx context.Context) (*network.Response, error) {
		return chromedp.Run(ctx, chromedp.NavigateResponse(address))
	}, status)
}

// press follows the link or presses the button that is called so, and comes to
// another page.
func (v *visitor) press(name string) {
	v.t.Helper()
	v.pressFor(name, http.StatusOK)
}

// pressFor is press where the page that comes has another status: one of some,
// which it gives.
func (v *visitor) pressFor(name string, statuses ...int64) int64 {
	v.t.Helper()
	return v.load(fmt.Sprintf("pressing %q", name), func(ctx context.Context) (*network.Response, error) {
		return chromedp.RunResponse(ctx, chromedp.Click(called(v.say(name))))
	}, statuses...)
}

// clickOn clicks on an element, and comes to another page.
func (v *visitor) clickOn(selector string) {
	v.t.Helper()
	v.load("clicking on "+selector, func(ctx context.Context) (*network.Response, error) {
		return chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(selector)))
	}, http.StatusOK)
}

// unfold opens what is folded under a name.
func (v *visitor) unfold(name string) {
	v.t.Helper()
	v.do(fmt.Sprintf("unfold %q", name), chromedp.Click(called(v.say(name))))
}

// called selects the first visible link, button or summary whose first line or
// label is the name.
func called(name string) chromedp.JSPath {
	return chromedp.JSPath(fmt.Sprintf(
		`[...document.querySelectorAll("a,button,summary")].find(e => e.checkVisibility() && (e.innerText.trim().split("\n")[0] === %[1]q || e.ariaLabel === %[1]q))`, name))
}

func input(name string) chromedp.CSS {
	return chromedp.CSS(fmt.Sprintf("[name=%q]:not([type=hidden])", name))
}

// fill types into the field of a name, over what is there.
func (v *visitor) fill(name, text string) {
	v.t.Helper()
	v.do(fmt.Sprintf("fill in %s", name), chromedp.Clear(input(name)), chromedp.SendKeys(input(name), text))
}

// choose takes an option, by its value.
func (v *visitor) choose(name, value string) {
	v.t.Helper()
	v.do(fmt.Sprintf("choose %s", name), chromedp.SetValue(input(name), value))
}

// entered checks what stands in a field.
func (v *visitor) entered(name, want string) {
	v.t.Helper()
	if got := ask(v, chromedp.Value(input(name))); got != want {
		v.t.Errorf("%s: field %s holds %q, want %q", v.where(), name, got, want)
	}
}

// sees checks that the page says all of this, in the story's words.
func (v *visitor) sees(words ...string) {
	v.t.Helper()
	for _, w := range words {
		v.reads(v.say(w))
	}
}

// reads checks that the page says exactly this.
func (v *visitor) reads(text string) {
	v.t.Helper()
	if shown := v.text(); !strings.Contains(shown, text) {
		v.t.Errorf("%s does not say %q; it says:\n%s", v.where(), text, shown)
	}
}

// readsNot checks that the page does not say this.
func (v *visitor) readsNot(text string) {
	v.t.Helper()
	if shown := v.text(); strings.Contains(shown, text) {
		v.t.Errorf("%s says %q:\n%s", v.where(), text, shown)
	}
}

// awaits waits until a script's expression is true, without touching the page.
func (v *visitor) awaits(what, expression string) {
	v.t.Helper()
	ctx, cancel := v.step()
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(0)))
	if err != nil {
		v.t.Fatalf("%s: waited for %s: %v; the page says:\n%s", v.where(), what, err, v.text())
	}
}

func (v *visitor) text() string {
	v.t.Helper()
	return look[string](v, `document.body.innerText`)
}

func (v *visitor) where() string {
	v.t.Helper()
	return look[string](v, `location.pathname + location.search`)
}

// look evaluates an expression in the page.
func look[T any](v *visitor, expression string) T {
	v.t.Helper()
	return ask(v, chromedp.Evaluate[T](expression))
}

// ask runs an action that gives something.
func ask[T any](v *visitor, action chromedp.Action[T]) T {
	v.t.Helper()
	ctx, cancel := v.step()
	defer cancel()
	got, err := chromedp.Run(ctx, action)
	v.must(err)
	return got
}

// do runs steps that stay on the page.
func (v *visitor) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	v.t.Helper()
	ctx, cancel := v.step()
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		v.t.Fatalf("%s: %s: %v; the page says:\n%s", v.where(), what, err, v.text())
	}
}

// load comes to another page and checks it.
func (v *visitor) load(what string, step func(context.Context) (*network.Response, error), statuses ...int64) int64 {
	v.t.Helper()
	v.traffic.begin()
	ctx, cancel := v.step()
	defer cancel()
	res, err := step(ctx)
	if err != nil {
		v.t.Fatalf("%s: %v; the page says:\n%s", what, err, v.text())
	}
	if res == nil || !slices.Contains(statuses, res.Status) {
		v.t.Fatalf("%s leads to %+v, want status %v; the page says:\n%s", what, res, statuses, v.text())
	}
	v.checkPage(what)
	return res.Status
}

// step bounds one step.
func (v *visitor) step() (context.Context, context.CancelFunc) {
	return context.WithTimeout(v.ctx, patience)
}

// picture writes what the window shows, down to the end of the page, when
// pictures are asked for.
func (v *visitor) picture(name string) {
	v.t.Helper()
	if *pictures == "" {
		return
	}
	end := look[float64](v, `Math.ceil(Math.max(...[...document.querySelectorAll("main > *")].map(e => e.getBoundingClientRect().bottom)) + 32)`)
	ctx, cancel := v.step()
	defer cancel()
	shot, err := chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{
		Clip: &page.Viewport{Width: float64(v.window.width), Height: min(end, float64(v.window.height)), Scale: 1},
	})
	v.must(err)
	v.must(os.MkdirAll(*pictures, 0o755))
	v.must(os.WriteFile(filepath.Join(*pictures, name), shot.Data, 0o644))
}
