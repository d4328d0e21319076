package images

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/berth/berth/agent/runtime"
)

// isBlob tells whether a layer or config is asked for.
func isBlob(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/")
}

func hangUp(w http.ResponseWriter) { panic(http.ErrAbortHandler) }

func TestPullTriesAgain(t *testing.T) {
	w := newWorld(t)
	s := newStore(t, Registries{})
	ref := w.push(t, "team/app:1", newImage(t, gzipped(t, reg("a", noise(3<<20))), gzipped(t, reg("b", "two"))))
	var n atomic.Int32
	w.harm(func(rw http.ResponseWriter, r *http.Request) bool {
		switch n.Add(1) {
		case 1: // the manifest
			rw.Header().Set("Retry-After", "1")
			rw.WriteHeader(http.StatusTooManyRequests)
		case 3:
			rw.WriteHeader(http.StatusBadGateway)
		case 6:
			hangUp(rw)
		default:
			return false
		}
		return true
	})
	img, err := s.Pull(t.Context(), ref, false)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, s, ref, "b"); got != "two" {
		t.Errorf("file b is %q", got)
	}
	if img.PulledIn <= 0 || img.Imported || img.Size < 3<<20 {
		t.Errorf("image %+v", img)
	}
	if len(s.Pulls()) != 0 {
		t.Errorf("pulls under way: %+v", s.Pulls())
	}

	// What is there is not fetched again, but asked for.
	w.harm(nil)
	again, err := s.Pull(t.Context(), ref, true)
	if err != nil || again.Digest != img.Digest {
		t.Errorf("pull again: %+v, %v", again, err)
	}
	if got := w.asked("GET"); len(got) != 0 || len(w.asked("HEAD")) == 0 {
		t.Errorf("a present image: asked %v and %v", got, w.asked("HEAD"))
	}
	w.harm(nil)
	if _, err := s.Pull(t.Context(), ref, false); err != nil || len(w.asked("")) > 0 {
		t.Errorf("asked %v for what is there: %v", w.asked(""), err)
	}
}

// truncated cuts blobs off after so many bytes, n times.
func truncated(w *world, n int32, most int) func(http.ResponseWriter, *http.Request) bool {
	var left atomic.Int32
	left.Store(n)
	return func(rw http.ResponseWriter, r *http.Request) bool {
		if !isBlob(r) || left.Load() <= 0 {
			return false
		}
		w.serve(&short{rw, most, func() {
			left.Add(-1)
			hangUp(rw)
		}}, r)
		return true
	}
}

func TestPullGoesOnByRange(t *testing.T) {
	w := newWorld(t)
	for i, c := range []struct {
		what string
		ill  func(http.ResponseWriter, *http.Request) bool
		most int // requests for the layer
	}{
		{"cut off", truncated(w, 3, 1<<20), 4},
		{"cut off more often than is tried without progress", truncated(w, 30, 128<<10), 31},
		{"no ranges", func() func(http.ResponseWriter, *http.Request) bool {
			cut := truncated(w, 1, 1<<20)
			return func(rw http.ResponseWriter, r *http.Request) bool {
				if isBlob(r) && r.Header.Get("Range") != "" {
					rw.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
					return true
				}
				return cut(rw, r)
			}
		}(), 4},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := newStore(t, Registries{})
			data := noise(4<<20 + i)
			layer := gzipped(t, reg("a", data))
			ref := w.push(t, "app", newImage(t, layer))
			w.harm(c.ill)
			if _, err := s.Pull(t.Context(), ref, false); err != nil {
				t.Fatal(err)
			}
			digest, err := layer.Digest()
			if err != nil {
				t.Fatal(err)
			}
			if got := w.asked("GET", digest.String()); len(got) < 2 || len(got) > c.most {
				t.Errorf("asked %v, at most %d times", got, c.most)
			}
			if read(t, s, ref, "a") != data {
				t.Error("the file is not what it was")
			}
			w.harm(nil)
		})
	}
}

// A process that is killed in a pull leaves its lease and what it has fetched.
func TestPullGoesOnAfterKill(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	s := open(t, dir, Registries{})
	ref := w.push(t, "app", newImage(t, gzipped(t, reg("a", noise(4<<20)))))
	// The rest never comes.
	held := make(chan struct{})
	var once sync.Once
	w.harm(func(rw http.ResponseWriter, r *http.Request) bool {
		if isBlob(r) {
			w.serve(&short{rw, 2 << 20, func() {
				once.Do(func() { close(held) })
				<-r.Context().Done()
				hangUp(rw)
			}}, r)
		}
		return isBlob(r)
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	name, err := normalize(ref)
	if err != nil {
		t.Fatal(err)
	}
	leased, _, err := s.pullLease(ctx, name) // whose end a killed process doesn't come to
	if err != nil {
		t.Fatal(err)
	}
	resolver, err := s.reg.resolver()
	if err != nil {
		t.Fatal(err)
	}
	_, target, err := resolver.Resolve(leased, name)
	if err != nil {
		t.Fatal(err)
	}
	fetcher, err := resolver.Fetcher(leased, name)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := s.beginPull(name)
	var most atomic.Int64
	go func() { ended <- s.unpack(leased, target, s.fetching(p, fetcher, &most), p) }()
	<-held
	for p.tell().Done < 1<<20 { // what was sent is on its way
		goruntime.Gosched()
	}
	if at := s.Pulls(); len(at) != 1 || at[0].Total < 4<<20 || at[0].Layers != 1 || at[0].Unpacked != 0 || at[0].Ref != name {
		t.Errorf("pulls under way: %+v", at)
	}
	cancel()
	<-ended
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, dir, Registries{})
	defer s.Close()
	if err := s.collectNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.harm(nil)
	if _, err := s.Pull(t.Context(), ref, false); err != nil {
		t.Fatal(err)
	}
	got := w.asked("GET", "/blobs/", "bytes=")
	if len(got) != 1 || strings.HasSuffix(got[0], "bytes=0-") {
		t.Errorf("asked for %v, want to go on from what was there", w.asked("GET"))
	}
	if read(t, s, ref, "a") != noise(4<<20) {
		t.Error("the file is not what it was")
	}
	left, err := s.leases.List(ns(t.Context()))
	if err != nil || len(left) > 0 {
		t.Errorf("leases left: %v, %v", left, err)
	}
}

func TestPullsShareLayers(t *testing.T) {
	w := newWorld(t)
	s := newStore(t, Registries{})
	shared := gzipped(t, reg("a", noise(2<<20)))
	var refs []string
	for i := range 3 {
		refs = append(refs, w.push(t, fmt.Sprintf("app:%d", i), newImage(t, shared, gzipped(t, reg("own", strconv.Itoa(i))))))
	}
	w.harm(nil)
	var all sync.WaitGroup
	for range 3 {
		for _, ref := range refs {
			all.Go(func() {
				if _, err := s.Pull(t.Context(), ref, false); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	digest, err := shared.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if got := w.asked("GET", digest.String()); len(got) != 1 {
		t.Errorf("the layer that all have was fetched %d times", len(got))
	}
	if got := w.asked("GET", "/manifests/"); len(got) != len(refs) {
		t.Errorf("%d manifests were fetched of %d images", len(got), len(refs))
	}
}

func TestPullRefused(t *testing.T) {
	w := newWorld(t)
	s := newStore(t, Registries{})
	ref := w.push(t, "app:1", newImage(t, gzipped(t, reg("a", "b"))))
	full, err := normalize(ref)
	if err != nil {
		t.Fatal(err)
	}
	status := func(code int, blobs bool) func(http.ResponseWriter, *http.Request) bool {
		return func(rw http.ResponseWriter, r *http.Request) bool {
			if isBlob(r) == blobs {
				rw.WriteHeader(code)
			}
			return isBlob(r) == blobs
		}
	}
	for _, c := range []struct {
		what  string
		ill   func(http.ResponseWriter, *http.Request) bool
		tries int // of the manifest, at least as requests
		says  []string
	}{
		{"no such image", status(404, false), 1, []string{"pull image manifest has been retried 1 time(s): failed to resolve ref " + full, "not found"}},
		{"denied", status(403, false), 1, []string{"retried 1 time(s): failed to resolve ref", "403 Forbidden"}},
		{"unauthorized", status(401, false), 1, []string{"retried 1 time(s): failed to resolve ref", "401 Unauthorized"}},
		{"down", status(503, false), 3, []string{"pull image manifest has been retried 3 time(s): failed to resolve ref", "503 Service Unavailable"}},
		{"asks to wait long", func(rw http.ResponseWriter, r *http.Request) bool {
			rw.Header().Set("Retry-After", "86400")
			rw.WriteHeader(429)
			return true
		}, 1, []string{"pull image manifest has been retried 1 time(s)", "429 Too Many Requests"}},
		{"layers gone", status(404, true), 1, []string{"ref pull has been retried 1 time(s): ", "not found"}},
		{"other bytes", func(rw http.ResponseWriter, r *http.Request) bool {
			if isBlob(r) {
				io.WriteString(rw, noise(1<<10))
			}
			return isBlob(r)
		}, 1, []string{"ref pull has been retried 1 time(s): "}},
		{"schema 1", func(rw http.ResponseWriter, r *http.Request) bool {
			rw.Header().Set("Content-Type", "application/vnd.docker.distribution.manifest.v1+prettyjws")
			rw.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("a", 64))
			rw.Header().Set("Content-Length", "10")
			return true
		}, 1, []string{"schema 1", "not supported"}},
		{"a web page", func(rw http.ResponseWriter, r *http.Request) bool {
			rw.Header().Set("Content-Type", "text/html")
			io.WriteString(rw, "<html>hello</html>")
			return true
		}, 1, []string{`of type "text/html" is not an image`}},
		{"an endless manifest", func(rw http.ResponseWriter, r *http.Request) bool {
			rw.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			for r.Method == http.MethodGet {
				if _, err := rw.Write(make([]byte, 64<<10)); err != nil {
					break
				}
			}
			return true
		}, 1, []string{"longer than 4194304 bytes"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			w.harm(c.ill)
			_, err := s.Pull(t.Context(), ref, false)
			var pull *runtime.PullError
			if !errors.As(err, &pull) || pull.Code != cannotPull {
				t.Fatalf("error %v", err)
			}
			for _, part := range c.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q doesn't say %q", err, part)
				}
			}
			if got := w.asked("/manifests/"); c.tries > 1 && len(got) != c.tries {
				t.Errorf("asked %v, want %d tries", got, c.tries)
			}
			if _, err := s.Image(t.Context(), ref); !errors.Is(err, runtime.ErrNotFound) {
				t.Errorf("there is an image: %v", err)
			}
		})
	}
	w.harm(nil)
	if _, err := s.Pull(t.Context(), ref, false); err != nil {
		t.Errorf("after all that: %v", err)
	}
}

func TestPullCode(t *testing.T) {
	const host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/app:1"
	no := errdefs.ErrNotFound
	if got := code(host, no); got != cannotPull {
		t.Errorf("not found: %s", got)
	}
	if got := code("ghcr.io/a:1", no); got != cannotPull {
		t.Errorf("elsewhere: %s", got)
	}
}

func TestCredentials(t *testing.T) {
	for _, scheme := range []string{"Basic", "Bearer"} {
		t.Run(scheme, func(t *testing.T) {
			w := newWorld(t)
			ref := w.push(t, "private:1", newImage(t, gzipped(t, reg("a", "b"))))
			var tokens atomic.Int32
			token := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				user, secret, _ := r.BasicAuth()
				if r.Method == http.MethodPost { // OAuth2, with the same
					user, secret = r.FormValue("username"), r.FormValue("password")
				}
				if user != "me" || secret != "hush" {
					rw.WriteHeader(http.StatusUnauthorized)
					return
				}
				tokens.Add(1)
				fmt.Fprint(rw, `{"token":"T","access_token":"T","expires_in":300}`)
			}))
			defer token.Close()
			want := "Basic " + base64.StdEncoding.EncodeToString([]byte("me:hush"))
			challenge := `Basic realm="r"`
			if scheme == "Bearer" {
				want, challenge = "Bearer T", fmt.Sprintf(`Bearer realm="%s/token",service="s"`, token.URL)
			}
			w.harm(func(rw http.ResponseWriter, r *http.Request) bool {
				if r.Header.Get("Authorization") == want {
					return false
				}
				rw.Header().Set("WWW-Authenticate", challenge)
				rw.WriteHeader(http.StatusUnauthorized)
				return true
			})
			path := filepath.Join(t.TempDir(), "config.json")
			s := newStore(t, Registries{ConfigFiles: []string{filepath.Join(t.TempDir(), "absent"), path}})
			_, err := s.Pull(t.Context(), ref, false)
			if err == nil || !strings.Contains(err.Error(), "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref") {
				t.Errorf("without credentials: %v", err)
			}
			// The file is read at each pull.
			write := func(text string) {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			auth := func(secret string) string {
				return fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, w.host, base64.StdEncoding.EncodeToString([]byte("me:"+secret)))
			}
			write(auth("wrong"))
			_, err = s.Pull(t.Context(), ref, false)
			if err == nil || strings.Contains(err.Error(), "wrong") {
				t.Errorf("with wrong credentials: %v", err)
			}
			write("{")
			if _, err = s.Pull(t.Context(), ref, false); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("with a damaged file: %v", err)
			}
			if err := s.reg.Check(); err == nil {
				t.Error("a damaged file is good")
			}
			write(auth("hush"))
			if _, err = s.Pull(t.Context(), ref, false); err != nil {
				t.Errorf("with credentials: %v", err)
			}
			if scheme == "Bearer" && tokens.Load() != 1 {
				t.Errorf("%d tokens were had", tokens.Load())
			}
		})
	}
}

func TestPlain(t *testing.T) {
	r := Registries{Insecure: []string{"registry.local", "other:5000"}}
	for host, want := range map[string]bool{
		"localhost:1": true, "127.0.0.1": true, "127.9.9.9:80": true, "registry.local": true, "registry.local:5000": true,
		"other:5000": true, "other:5001": false, "other": false, "docker.io": false, "10.0.0.1:5000": false,
	} {
		if got, err := r.plain(host); got != want || err != nil {
			t.Errorf("plain(%s) = %v, %v", host, got, err)
		}
	}
}
