package peers

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// TestEfax proves the fax line by a second program that drives modems. It puts
// 20 rows for a header above the page, and fills up the rest of an A4 page.
func TestEfax(t *testing.T) {
	const efaxSpeed, rows = 8, 2290
	line := StartFaxLine(t, efaxSpeed)
	dir := t.TempDir()
	run := func(name, debian string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), Program(t, name, debian), args...)
		cmd.Dir = dir
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, said)
		}
	}
	document, err := filepath.Abs("../../hardware/fax/testdata/two-pages.pdf")
	if err != nil {
		t.Fatal(err)
	}
	run("gs", "ghostscript", "-q", "-dNOPAUSE", "-dBATCH", "-dLastPage=1", "-sDEVICE=tiffg3", "-r204x196", "-dFIXEDMEDIA", "-g1728x2290", "-dPDFFitPage", "-sOutputFile=page.tif", document)
	run("tiffcp", "libtiff-tools", "-c", "g3:1d:fill", "page.tif", "sent.tif")
	run("efax", "efax", "-d", line.Device, "-l", "12345", "-h", "", "-t", "T5551234", "sent.tif")
	call := line.Call()
	if call.Pages != 1 || call.BadRows != 0 || call.From != "12345" || call.Number != "5551234" {
		t.Fatalf("the call was %+v", call)
	}
	run("tiffcrop", "libtiff-tools", "-U", "px", "-m", "20,0,32,0", "-c", "g4", call.File, "arrived.tif")
	run("tiffcrop", "libtiff-tools", "-U", "px", "-m", "0,0,0,0", "-c", "g4", "sent.tif", "wanted.tif")
	run("tiffcmp", "libtiff-tools", "-t", "wanted.tif", "arrived.tif")
}

func TestEfaxHearsThatItIsBusy(t *testing.T) {
	const busy = 1 // efax(1), exit status
	line := StartFaxLine(t, 1)
	line.Play("busy")
	page := filepath.Join(t.TempDir(), "page.tif")
	if said, err := exec.CommandContext(t.Context(), Program(t, "gs", "ghostscript"), "-q", "-dNOPAUSE", "-dBATCH", "-sDEVICE=tiffg3", "-r204x98", "-sOutputFile="+page, "-c", "showpage").CombinedOutput(); err != nil {
		t.Fatalf("gs: %v\n%s", err, said)
	}
	cmd := exec.CommandContext(t.Context(), Program(t, "efax", "efax"), "-d", line.Link, "-t", "T5551234", page)
	if said, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != busy {
		t.Errorf("efax ends with %v\n%s", err, said)
	}
	if call := line.Call(); call.End != "busy" {
		t.Errorf("the call was %+v", call)
	}
}

func TestFaxLineHangsUpWhenItsClientIsGone(t *testing.T) {
	line := StartFaxLine(t, 1)
	modem, err := os.OpenFile(line.Device, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := modem.WriteString("AT+FCLASS=1\rATDT123\r"); err != nil {
		t.Fatal(err)
	}
	line.Answered()
	if err := modem.Close(); err != nil {
		t.Fatal(err)
	}
	if call := line.Call(); call.End != "hung_up" || call.Number != "123" || call.Pages != 0 {
		t.Errorf("the call was %+v", call)
	}
}
