package images

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "soon": 0, "0": 0, "-5": 0, "7": 7 * time.Second, "99999999999": 0,
		now.Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second,
		now.Add(-time.Hour).Format(http.TimeFormat):       0,
	} {
		if got := retryAfter(value, now); got != want && !(value == "99999999999" && got > longestWait) {
			t.Errorf("Retry-After %q is %v, want %v", value, got, want)
		}
	}
}

func TestPassing(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{&refused{status: "503"}, true},
		{fmt.Errorf("a: %w", &refused{status: "429"}), true},
		{errRange, true},
		{io.ErrUnexpectedEOF, true},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, true},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, true},
		{&net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}, false},
		{&net.OpError{Op: "dial", Err: &net.DNSError{IsTemporary: true}}, true},
		{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, false},
		{errors.New(`Head "https://a": http: server gave HTTP response to HTTPS client`), false},
		{context.Canceled, false},
		{errPlatform, false},
	} {
		if got := passing(c.err); got != c.want {
			t.Errorf("passing(%v) = %v", c.err, got)
		}
	}
}

func TestRetry(t *testing.T) {
	down := &refused{status: "503"}
	for _, c := range []struct {
		what     string
		err      error
		ends     int // the try that goes well; 0: none
		progress bool
		tries    int
		took     [2]time.Duration // between
	}{
		{"at once", nil, 1, false, 1, [2]time.Duration{0, 0}},
		{"for good", errPlatform, 0, false, 1, [2]time.Duration{0, 0}},
		{"the third time", down, 3, false, 3, [2]time.Duration{1500 * time.Millisecond, 1900 * time.Millisecond}},
		{"never", down, 0, false, 4, [2]time.Duration{3500 * time.Millisecond, 4400 * time.Millisecond}},
		{"as long as it gets on", down, 9, true, 9, [2]time.Duration{4 * time.Second, 5 * time.Second}},
		{"when asked to", &refused{after: 20 * time.Second}, 2, false, 2, [2]time.Duration{20 * time.Second, 20 * time.Second}},
		{"not when asked for long", &refused{after: time.Hour}, 0, false, 1, [2]time.Duration{0, 0}},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, n := time.Now(), 0
				tries, err := retry(t.Context(), 4, func() int64 {
					if c.progress {
						return int64(n)
					}
					return 0
				}, func() error {
					if n++; n == c.ends {
						return nil
					}
					return c.err
				})
				if tries != c.tries || (err == nil) != (c.ends > 0) {
					t.Errorf("%d tries, %v; want %d", tries, err, c.tries)
				}
				if took := time.Since(began); took < c.took[0] || took > c.took[1] {
					t.Errorf("took %v, want %v", took, c.took)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began := time.Now()
		if _, err := retry(ctx, 4, nil, func() error { return down }); err != down || time.Since(began) > time.Second {
			t.Errorf("cut off: %v after %v", err, time.Since(began))
		}
	})
}

// A registry that says nothing more is not waited for without end.
func TestStalledBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		b := &body{ReadCloser: r}
		go w.Write([]byte("some"))
		got, err := io.ReadAll(b)
		if string(got) != "some" || !passing(err) || !strings.Contains(err.Error(), "nothing came for") {
			t.Errorf("read %q, %v", got, err)
		}
	})
}

func TestTransportBounds(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/busy" {
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Write(make([]byte, maxToken+1))
	}))
	defer server.Close()
	client := &http.Client{Transport: transport{http.DefaultTransport, maxToken}}
	resp, err := client.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); err == nil || !strings.Contains(err.Error(), "longer than 1048576 bytes") {
		t.Errorf("an endless answer: %v", err)
	}
	var busy *refused
	if _, err := client.Get(server.URL + "/busy"); !errors.As(err, &busy) || busy.after != 3*time.Second {
		t.Errorf("a busy registry: %v", err)
	}
}
