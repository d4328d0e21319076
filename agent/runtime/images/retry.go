package images

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
)

const (
	// manifestTries and blobTries are how often what may pass is tried. A blob
	// that got further since the last time is tried anew.
	manifestTries = 3
	blobTries     = 6
	// longestWait is the most that a registry may ask for between two tries. One
	// that asks for more is given up at once, with its answer.
	longestWait = time.Minute
	// stallAfter is how long a registry may send nothing before it is asked again.
	stallAfter = time.Minute
	// maxManifest is more than any manifest, and maxToken more than any token, in
	// bytes.
	maxManifest = 4 << 20
	maxToken    = 1 << 20
)

// errRange says that a registry didn't go on with a blob. Tried again, it begins
// anew.
var errRange = errors.New("the registry gives no part of a layer")

// refused is a registry's answer that may be another the next time: 429 or 5xx.
type refused struct {
	status string
	after  time.Duration // what it asks to wait; 0: it doesn't say
}

func (r *refused) Error() string { return "unexpected status " + r.status }

// transport has each answer that may pass come as an error, so that who asked
// decides when to ask again, and bounds what a registry may send: in time
// without a byte and, where limit is set or a manifest is asked for, in bytes.
type transport struct {
	base  http.RoundTripper
	limit int64
}

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500 {
		resp.Body.Close()
		return nil, &refused{resp.Status, retryAfter(resp.Header.Get("Retry-After"), time.Now())}
	}
	limit := t.limit
	if strings.Contains(req.URL.Path, "/manifests/") {
		limit = maxManifest
	}
	resp.Body = &body{ReadCloser: resp.Body, limit: limit}
	return resp, nil
}

// retryAfter reads that header: seconds, or a date (RFC 9110, 10.2.3).
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(max(0, min(seconds, 1<<20))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// body is a registry's answer as it comes.
type body struct {
	io.ReadCloser
	limit, read int64 // limit 0: none
	stalled     atomic.Bool
}

func (b *body) Read(p []byte) (int, error) {
	timer := time.AfterFunc(stallAfter, func() {
		b.stalled.Store(true)
		b.ReadCloser.Close()
	})
	n, err := b.ReadCloser.Read(p)
	timer.Stop()
	if b.read += int64(n); b.limit > 0 && b.read > b.limit {
		return 0, fmt.Errorf("the registry's answer is longer than %d bytes", b.limit)
	}
	if err != nil && err != io.EOF && b.stalled.Load() {
		err = fmt.Errorf("nothing came for %v: %w", stallAfter, io.ErrUnexpectedEOF)
	}
	return n, err
}

// retry tries what may pass again, up to most times, and returns how often it
// tried. Where progress gets on in between, the count of tries to come begins
// anew; it may be nil.
func retry(ctx context.Context, most int, progress func() int64, try func() error) (tries int, err error) {
	var reached int64
	for left := most; ; {
		err = try()
		tries++
		if err == nil || !passing(err) {
			return tries, err
		}
		if progress != nil {
			if at := progress(); at > reached {
				reached, left = at, most
			}
		}
		left--
		wait := backOff(most-left, err)
		if left <= 0 || wait > longestWait {
			return tries, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return tries, err
		}
	}
}

// backOff is how long to wait after so many tries: what the registry asks for,
// or 0.5 s, and twice that each time. Some of it is chance, so that nodes that
// failed together don't come back together.
func backOff(tries int, err error) time.Duration {
	var r *refused
	if errors.As(err, &r) && r.after > 0 {
		return r.after
	}
	wait := 500 * time.Millisecond << min(tries-1, 5)
	return wait + rand.N(wait/4)
}

// passing tells whether another try may go better.
func passing(err error) bool {
	var r *refused
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var op *net.OpError
	var timeout net.Error
	switch {
	case errors.As(err, &r), errors.Is(err, errRange):
		return true
	case errors.As(err, &dns):
		return !dns.IsNotFound
	case errors.As(err, &cert), errors.As(err, &record), errors.As(err, &alert), isPlain(err):
		return false
	case errors.As(err, &op):
		return true
	case errors.As(err, &timeout) && timeout.Timeout():
		return true
	}
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errdefs.IsUnavailable(err)
}

// isPlain tells whether a registry that was spoken to by HTTPS speaks HTTP only.
// net/http has no value for it.
func isPlain(err error) bool {
	return strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}
