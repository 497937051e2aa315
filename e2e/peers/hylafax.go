package peers

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Fax is a HylaFAX with a spool of its own: faxq, hfaxd and a modem for each
// line. A fax that goes all the way, and what must be true of it:
//
//	line := peers.StartFaxLine(t, 50)
//	far := peers.HylaFAX(t, line.Device)
//	line.Play("drop 1") // the first call; the second is answered
//	… // submit document to far.Address, as peers.FaxUser
//	first, second := line.Call(), line.Call()
//	if first.Pages != 1 || second.Pages != 1 { … }
//	made := far.Rendered(t, document)
//	peers.SamePage(t, made, 0, first.File, 0)
//	peers.SamePage(t, made, 1, second.File, 0) // and nothing came twice
type Fax struct {
	// Address is where hfaxd listens.
	Address string
	// Spool is its folder.
	Spool string
}

// The one who may sign in to HylaFAX; others are let in without a password,
// and see the same.
const (
	FaxUser     = "herald"
	FaxPassword = "correct horse"
)

// HylaFAX starts one with a modem at each device, such as "/dev/pts/3". Its
// daemons want to be started by root.
func HylaFAX(t testing.TB, devices ...string) Fax {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("this test needs root: HylaFAX's daemons start as nobody else")
	}
	queue, server := Program(t, "faxq", "hylafax-server"), Program(t, "hfaxd", "hylafax-server")
	Program(t, "gs", "ghostscript")
	Program(t, "tiffcp", "libtiff-tools")
	spool, err := os.MkdirTemp("", "herald-fax-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(spool) }) // the system empties it in time
	fillSpool(t, spool, devices)
	address := Address(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	scheduler := Start(t, exec.Command(queue, "-D", "-q", spool))
	reads := func() bool { return unread(filepath.Join(spool, "FIFO")) == 0 }
	scheduler.Until("faxq reads its FIFO", reads)
	Start(t, exec.Command(server, "-d", "-q", spool, "-l", "127.0.0.1", "-i", port)).UntilListening(address)
	for _, device := range devices {
		said, err := exec.Command("/usr/lib/hylafax/bin/faxmodem", "-q", spool, deviceID(device)).CombinedOutput()
		if err != nil {
			t.Fatalf("faxmodem: %v\n%s", err, said)
		}
		// It does not end what it writes: of two messages that wait, faxq
		// would take the first only (faxmodem.c, faxApp::FIFOInput).
		scheduler.Until("faxq knows of the modem "+device, reads)
	}
	return Fax{Address: address, Spool: spool}
}

// Rendered is a document, as PDF, as HylaFAX makes it TIFF for a fax of A4 in
// fine resolution, made here once more: what must arrive (SamePage).
func (f Fax) Rendered(t testing.TB, document []byte) string {
	t.Helper()
	dir := t.TempDir()
	from, made := filepath.Join(dir, "document.pdf"), filepath.Join(dir, "made.tif")
	if err := os.WriteFile(from, document, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "bin/pdf2fax", "-o", made, "-w", "209", "-l", "296", "-r", "196", "-3", from)
	cmd.Dir = f.Spool
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("pdf2fax: %v\n%s", err, said)
	}
	return made
}

// SamePage compares a page of each of two TIFF files, from 0, pixel by pixel.
func SamePage(t testing.TB, want string, wantPage int, got string, gotPage int) {
	t.Helper()
	dir := t.TempDir()
	cut := func(file, name string, page int) string {
		cut := filepath.Join(dir, name)
		if said, err := exec.CommandContext(t.Context(), Program(t, "tiffcp", "libtiff-tools"), "-c", "g4", file+","+strconv.Itoa(page), cut).CombinedOutput(); err != nil {
			t.Fatalf("tiffcp: %v\n%s", err, said)
		}
		return cut
	}
	cmd := exec.CommandContext(t.Context(), Program(t, "tiffcmp", "libtiff-tools"), "-t", cut(want, "want.tif", wantPage), cut(got, "got.tif", gotPage))
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("page %d of %s is another than page %d of %s: %v\n%s", gotPage, got, wantPage, want, err, said)
	}
}

// unread is how many bytes wait in a FIFO; -1: nobody reads it.
func unread(path string) int {
	fifo, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return -1
	}
	defer fifo.Close() //nolint:errcheck // it was only to see
	n, err := unix.IoctlGetInt(int(fifo.Fd()), unix.TIOCINQ)
	if err != nil {
		return -1
	}
	return n
}

// deviceID is what HylaFAX calls /dev/pts/3: pts_3.
func deviceID(device string) string {
	return strings.ReplaceAll(strings.TrimPrefix(device, "/dev/"), "/", "_")
}

// fillSpool puts into the spool what HylaFAX wants to find there.
func fillSpool(t testing.TB, spool string, devices []string) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"archive", "client", "config", "dev", "docq", "doneq", "etc", "info", "log", "pollq", "recvq", "sendq", "status", "tmp"} {
		check(os.Mkdir(filepath.Join(spool, dir), 0o755)) //nolint:gosec // the daemons' user reads it
	}
	check(os.Chmod(spool, 0o755)) //nolint:gosec // the daemons' user reads it
	check(syscall.Mkfifo(filepath.Join(spool, "FIFO"), 0o600))
	check(os.CopyFS(filepath.Join(spool, "bin"), os.DirFS("/var/spool/hylafax/bin")))
	for _, file := range []string{"dialrules", "pagesizes", "typerules", "cover.templ", "lutRS18.pcf", "setup.modem", "setup.cache"} {
		text, err := os.ReadFile(filepath.Join("/etc/hylafax", file))
		if os.IsNotExist(err) && file == "setup.cache" {
			text = []byte("GSRIP='/usr/bin/gs'\nAWK='/usr/bin/awk'\nTIFFBIN='/usr/bin'\nSENDMAIL='/bin/true'\n")
		} else {
			check(err)
		}
		check(os.WriteFile(filepath.Join(spool, "etc", file), text, 0o644)) //nolint:gosec // the daemons' user reads it
	}
	cache, err := os.OpenFile(filepath.Join(spool, "etc/setup.cache"), os.O_APPEND|os.O_WRONLY, 0)
	check(err)
	_, err = fmt.Fprintf(cache, "SPOOL='%s'\nSENDMAIL='/bin/true'\n", spool)
	check(err)
	check(cache.Close())
	check(os.WriteFile(filepath.Join(spool, "etc/config"), []byte(faxConfig), 0o644)) //nolint:gosec // the daemons' user reads it
	for _, device := range devices {
		check(os.WriteFile(filepath.Join(spool, "etc/config."+deviceID(device)), []byte(modemConfig), 0o644)) //nolint:gosec // the daemons' user reads it
	}
	hash, err := exec.Command(Program(t, "openssl", "openssl"), "passwd", "-6", FaxPassword).Output()
	check(err)
	hosts := "^" + FaxUser + "@:101:" + strings.TrimSpace(string(hash)) + "\n127.0.0.1:::\nlocalhost:::\n"
	check(os.WriteFile(filepath.Join(spool, "etc/hosts.hfaxd"), []byte(hosts), 0o600))
	giveAway(t, spool, "uucp")
}

// giveAway makes a user the owner of all in a folder.
func giveAway(t testing.TB, dir, name string) {
	t.Helper()
	owner, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.Atoi(owner.Gid)
	if err != nil {
		t.Fatal(err)
	}
	if err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, uid, gid)
	}); err != nil {
		t.Fatal(err)
	}
}

// faxConfig is of faxq, modemConfig of each modem. Retries come at once, and
// a modem is not reset between two calls, which saves seconds.
const (
	faxConfig = `LogFacility: daemon
CountryCode: 1
AreaCode: 800
LongDistancePrefix: 1
InternationalPrefix: 011
DialStringRules: etc/dialrules
ServerTracing: 1
NotifyCmd: /bin/true
SendFaxCmd: /usr/lib/hylafax/bin/faxsend
MaxDials: 12
MaxTries: 3
ModemClass: "any:.*"
`
	modemConfig = `CountryCode: 1
AreaCode: 800
FAXNumber: +1.800.555.1212
LocalIdentifier: "HERALD"
SessionTracing: 0xFFF
RingsBeforeAnswer: 0
ModemType: Class1
ModemFlowControl: none
ModemRate: 19200
TagLineFormat: ""
ModemResetDelay: 0
ModemSoftResetCmdDelay: 0
JobReqBusy: 3
JobReqNoCarrier: 3
JobReqNoAnswer: 3
JobReqNoDialTone: 3
JobReqProto: 3
JobReqOther: 3
JobReqDataConn: 3
JobRetryBusy: 2
JobRetryNoCarrier: 2
JobRetryNoAnswer: 2
JobRetryOther: 2
`
)
