package email

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"herald/dispatch"
	"herald/hardware/sim/smtp"
)

// certificate makes one for 127.0.0.1, signed by itself, and its PEM file.
func certificate(t *testing.T) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sim"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, file
}

func TestEncryptionAndSigningIn(t *testing.T) {
	serverTLS, authority := certificate(t)
	encrypted := startSim(t, smtp.Config{TLS: serverTLS, Username: "herald", Password: "secret"})
	open := startSim(t, smtp.Config{})
	good := accountAt(t, "main", encrypted.Addr())
	good.TLS, good.RootCAs, good.Username, good.Password = "starttls", authority, "herald", "secret"
	for name, c := range map[string]struct {
		change func(*Account)
		class  dispatch.Class // empty: it arrives
		code   string
	}{
		"encrypted and signed in":     {func(*Account) {}, "", ""},
		"in the clear to ourselves":   {func(a *Account) { a.TLS = "none" }, "", ""},
		"a wrong password":            {func(a *Account) { a.Password = "wrong" }, dispatch.Configuration, "535 5.7.8"},
		"no password":                 {func(a *Account) { a.Username, a.Password = "", "" }, dispatch.Configuration, "530 5.7.0"},
		"an unknown authority":        {func(a *Account) { a.RootCAs = "" }, dispatch.Configuration, ""},
		"another name":                {func(a *Account) { a.Host = "localhost" }, dispatch.Configuration, ""},
		"no STARTTLS there":           {func(a *Account) { *a = at(t, *a, open) }, dispatch.Configuration, ""},
		"no AUTH there":               {func(a *Account) { *a = at(t, *a, open); a.TLS = "none" }, dispatch.Configuration, ""},
		"encrypted first, but not so": {func(a *Account) { a.TLS = "tls" }, dispatch.Configuration, ""},
	} {
		t.Run(name, func(t *testing.T) {
			account := good
			c.change(&account)
			r, err := send(t, account, message())
			if c.class == "" {
				if err != nil || r.Code != "250 2.0.0" {
					t.Errorf("gives %+v and %v", r, err)
				}
				return
			}
			if failure := failureOf(t, err); failure.Class != c.class || failure.Code != c.code {
				t.Errorf("gives %v, want %s %s", err, c.class, c.code)
			}
		})
	}
}

// at is a on another server.
func at(t *testing.T, a Account, server *smtp.Server) Account {
	t.Helper()
	other := accountAt(t, a.Name, server.Addr())
	a.Host, a.Port = other.Host, other.Port
	return a
}

func TestEncryptedFromTheFirstByte(t *testing.T) {
	serverTLS, authority := certificate(t)
	behind := startSim(t, smtp.Config{})
	front, err := tls.Listen("tcp", "127.0.0.1:0", serverTLS)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- forwardOne(front, behind.Addr()) }()
	account := accountAt(t, "main", front.Addr().String())
	account.TLS, account.RootCAs = "tls", authority
	mustSend(t, account, message()) // it ends with QUIT, which ends the forwarding
	if err := <-served; err != nil {
		t.Error(err)
	}
	if behind.Count() != 1 {
		t.Errorf("%d arrived", behind.Count())
	}
}

// forwardOne passes one connection on until either side ends it.
func forwardOne(front net.Listener, addr string) error {
	in, err := front.Accept()
	if err != nil {
		return err
	}
	defer front.Close()
	defer in.Close()
	out, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer out.Close()
	ended := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
		go func() {
			buffer := make([]byte, 4096)
			for {
				n, err := pair[0].Read(buffer)
				if n > 0 {
					if _, werr := pair[1].Write(buffer[:n]); werr != nil {
						break
					}
				}
				if err != nil {
					break
				}
			}
			ended <- struct{}{}
		}()
	}
	<-ended
	in.Close()
	out.Close()
	<-ended
	return nil
}
