package pages

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"herald/e2e/peers"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

func openFont(t testing.TB) *Font {
	t.Helper()
	f, err := OpenFont("")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// example is the fax of a file in testdata, from the shop to a member.
func example(t testing.TB, locale string) Fax {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", locale+".md"))
	if err != nil {
		t.Fatal(err)
	}
	return Fax{
		Locale: locale, At: time.Date(2026, 11, 22, 17, 30, 0, 0, time.FixedZone("", 8*3600)),
		From: "先锋商城 Herald Shop", FromNumber: "+86 21 5555 0100", To: "王小明", ToNumber: "+862155550199",
		Subject: "价格提醒 / price alert", Body: string(body), Cover: locale == "zh",
	}
}

func render(t testing.TB, f *Font, fax Fax) Document {
	t.Helper()
	d, err := f.Render(fax, 1)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// says runs one of poppler's programs on a document.
func says(t *testing.T, document []byte, name string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "fax.pdf")
	if err := os.WriteFile(file, document, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{file}
	if name == "pdftotext" {
		args = []string{"-layout", "-enc", "UTF-8", file, "-"}
	}
	said, err := exec.CommandContext(t.Context(), peers.Program(t, name, "poppler-utils"), args...).Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(said)
}

// seen is what a reader sees of a document.
func seen(t *testing.T, document []byte) string {
	t.Helper()
	return says(t, document, "pdftotext")
}

func TestWhatStandsOnThePages(t *testing.T) {
	f := openFont(t)
	for _, locale := range []string{"en", "zh"} {
		t.Run(locale, func(t *testing.T) {
			got := seen(t, render(t, f, example(t, locale)).PDF)
			golden := filepath.Join("testdata", locale+".golden.txt")
			if *rewrite {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("run with -rewrite if that is right (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheSameFaxIsTheSameBytes(t *testing.T) {
	f, fax := openFont(t), example(t, "zh")
	first := render(t, f, fax)
	again := make(chan []byte)
	for range 4 {
		go func() {
			d, _ := f.Render(fax, 1)
			again <- d.PDF
		}()
	}
	for range 4 {
		if !bytes.Equal(first.PDF, <-again) {
			t.Error("it was rendered to other bytes")
		}
	}
}

func TestTheRestOfAFaxHasItsPages(t *testing.T) {
	f, fax := openFont(t), example(t, "en")
	fax.Body = strings.Repeat(fax.Body+"\n\n", 7)
	whole := render(t, f, fax)
	rest, err := f.Render(fax, 3)
	if err != nil || rest.Pages != whole.Pages || whole.Pages < 4 {
		t.Fatalf("the rest is of %d pages of %d, %v", rest.Pages, whole.Pages, err)
	}
	of := func(d Document) []string { return strings.Split(seen(t, d.PDF), "\f") }
	if diff := cmp.Diff(of(whole)[2:], of(rest)); diff != "" {
		t.Errorf("the pages from the third are others (-whole +rest):\n%s", diff)
	}
	for _, none := range []int{0, whole.Pages + 1} {
		if _, err := f.Render(fax, none); err == nil {
			t.Errorf("there is a page %d", none)
		}
	}
}

// TestAPageIsFitForAMachine looks at the pages as a machine prints them, 204 by
// 196 dots an inch (ITU-T T.4, section 2): something stands on each, and
// nothing within a centimetre of its edges.
func TestAPageIsFitForAMachine(t *testing.T) {
	document := render(t, openFont(t), example(t, "zh"))
	if info := says(t, document.PDF, "pdfinfo"); !strings.Contains(info, "Pages:           2") || !strings.Contains(info, "(A4)") {
		t.Errorf("pdfinfo says %s", info)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "fax.pdf")
	if err := os.WriteFile(file, document.PDF, 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.CommandContext(t.Context(), peers.Program(t, "pdftoppm", "poppler-utils"), "-mono", "-rx", "204", "-ry", "196", file, filepath.Join(dir, "page")).CombinedOutput(); err != nil {
		t.Fatalf("pdftoppm: %v\n%s", err, said)
	}
	for page := 1; page <= 2; page++ {
		image, err := os.ReadFile(filepath.Join(dir, "page-"+strconv.Itoa(page)+".pbm"))
		if err != nil {
			t.Fatal(err)
		}
		var width, height int
		if _, err := fmt.Sscanf(string(image), "P4\n%d %d", &width, &height); err != nil {
			t.Fatal(err)
		}
		across := (width + 7) / 8
		dots, black, outside := image[len(image)-across*height:], 0, 0
		for y := range height {
			for x := range width {
				if dots[y*across+x/8]>>(7-x%8)&1 == 1 {
					black++
					if x < 80 || x >= width-80 || y < 77 || y >= height-77 {
						outside++
					}
				}
			}
		}
		if share := float64(black) / float64(width*height); share < 0.005 || share > 0.15 || outside > 0 {
			t.Errorf("of page %d %.1f %% is black, and %d dots are at its edges", page, 100*share, outside)
		}
	}
}

func TestAFaxHasBounds(t *testing.T) {
	f := openFont(t)
	for name, body := range map[string]string{
		"source":         strings.Repeat("a", mostSource+1),
		"marks":          strings.Repeat("*a_\n", mostMarks),
		"deep":           strings.Repeat("> ", mostLine),
		"pages":          strings.Repeat("word\n\n", 3000),
		"pages by list":  strings.Repeat("- item\n", 3000),
		"pages by table": "| a | b |\n|---|---|\n" + strings.Repeat("| 1 | 2 |\n", 2000),
		"pages by rules": strings.Repeat("***\n", 5000),
		"pages by code":  "```\n" + strings.Repeat("\n", 5000) + "```\n",
	} {
		if _, err := f.Render(Fax{Body: body, Cover: true}, 1); !errors.Is(err, ErrTooLong) {
			t.Errorf("too many %s gives %v", name, err)
		}
	}
}

func TestALongCellGoesOnOverThePages(t *testing.T) {
	const long = 4000
	d := render(t, openFont(t), Fax{Body: "| head |\n|---|\n| " + strings.Repeat("中", long) + " |\n\nend"})
	said := seen(t, d.PDF)
	if got := strings.Count(said, "中"); got != long || d.Pages < 3 || strings.Count(said, "head") != d.Pages || !strings.Contains(said, "end") {
		t.Errorf("%d characters of %d are on %d pages, with %d heads", got, long, d.Pages, strings.Count(said, "head"))
	}
}

func TestCharactersThatTheFontLacks(t *testing.T) {
	d := render(t, openFont(t), Fax{Body: "ok 😀😀 \u200bn\u0303 𠀋 • é\x00\x07\xff", Subject: "🎂"})
	if d.Missing != "\ufffd🎂😀𠀋" {
		t.Errorf("missing are %q", d.Missing)
	}
	if said := seen(t, d.PDF); !strings.Contains(said, "ok □□ ñ □ ● é□") {
		t.Errorf("it says %q", said)
	}
}

func TestFontsThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"empty": "", "text": "this is no font at all, only text", "OTTO": "OTTO\x00\x01" + strings.Repeat("\x00", 30),
		"collection": "ttcf\x00\x01\x00\x00\x00\x00\x00\x01\xff\xff\xff\xff", "few tables": "\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenFont(file); !errors.Is(err, errNotTrueType) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s gives %v", name, err)
		}
	}
	if _, err := OpenFont(filepath.Join(dir, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a font that is not there gives %v", err)
	}
}

func BenchmarkRender(b *testing.B) {
	f, fax := openFont(b), example(b, "zh")
	var size int
	for b.Loop() {
		size = len(render(b, f, fax).PDF)
	}
	b.ReportMetric(float64(size), "bytes")
}
