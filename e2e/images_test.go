package e2e

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/berth/berth/local"
)

// slowRegistry is a registry whose large blobs, unless parts of them are asked
// for, don't come whole while it holds them.
type slowRegistry struct {
	host    string
	closed  atomic.Bool
	secret  string // asked for, if not empty
	held    chan struct{}
	ranges  atomic.Int32 // how many blobs were gone on with
	holding atomic.Bool
}

func newSlowRegistry(t *testing.T) *slowRegistry {
	t.Helper()
	r := &slowRegistry{held: make(chan struct{}, 100)}
	plain := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if _, password, _ := q.BasicAuth(); password != r.secret {
			w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.closed.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if q.Method != http.MethodGet || !strings.Contains(q.URL.Path, "/blobs/") {
			plain.ServeHTTP(w, q)
			return
		}
		whole := q.Clone(q.Context())
		whole.Header.Del("Range")
		had := httptest.NewRecorder()
		plain.ServeHTTP(had, whole)
		if q.Header.Get("Range") != "" {
			r.ranges.Add(1)
		}
		at := q.Header.Get("Range")
		if part := at != "" && !strings.HasSuffix(at, "-"); r.holding.Load() && had.Body.Len() > 2<<20 && !part {
			w.Header().Set("Content-Length", fmt.Sprint(had.Body.Len()))
			w.Write(had.Body.Bytes()[:1<<20])
			w.(http.Flusher).Flush()
			r.held <- struct{}{}
			<-q.Context().Done()
			return
		}
		http.ServeContent(w, q, "", time.Time{}, strings.NewReader(had.Body.String()))
	}))
	t.Cleanup(server.Close)
	r.host = strings.TrimPrefix(server.URL, "http://")
	return r
}

// push puts the probe, with a layer of so many bytes on it, into the registry.
func (r *slowRegistry) push(t *testing.T, repo string, size int) string {
	t.Helper()
	img, err := tarball.ImageFromPath(built.image, nil)
	if err != nil {
		t.Fatal(err)
	}
	if size > 0 {
		weight := make([]byte, size)
		rand.Read(weight)
		var packed bytes.Buffer
		w := tar.NewWriter(&packed)
		if err := w.WriteHeader(&tar.Header{Name: "weight", Mode: 0o644, Size: int64(size), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(weight); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil })
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			t.Fatal(err)
		}
	}
	ref, err := name.ParseReference(r.host + "/" + repo)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		t.Fatal(err)
	}
	return ref.String()
}

func (h *host) runImage(t *testing.T, ref string) *string {
	t.Helper()
	c := container("main", "print=ran", "exit=0")
	c.Image = &ref
	return h.run(t, h.register(t, []types.ContainerDefinition{c})).TaskArn
}

// A registry that wants a password gets the one of the operator's file, and what
// it says without one is said of the task.
func TestPullWithCredentials(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "berth-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	h := newHostIn(t, dir)
	r := newSlowRegistry(t)
	ref := r.push(t, "private/probe:1", 0)
	r.secret = "hush"
	task := h.await(t, *h.runImage(t, ref), "STOPPED")
	if reason := aws.ToString(task.StoppedReason); task.StopCode != types.TaskStopCodeTaskFailedToStart ||
		!strings.HasPrefix(reason, "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref "+ref) {
		t.Errorf("without credentials: %s: %s", task.StopCode, reason)
	}
	config := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, r.host, base64.StdEncoding.EncodeToString([]byte("me:hush")))
	if err := os.WriteFile(filepath.Join(dir, "registry.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	arn := *h.runImage(t, ref)
	h.await(t, arn, "STOPPED")
	h.awaitLine(t, arn, "main", "ran")
	if out, err := h.berth("why", "--timeline", arn); err != nil || !inOrder(out, " pull main", " unpack main", " create main") {
		t.Errorf("berth why --timeline: %v\n%s", err, out)
	}
	// By default the image that is present is taken while the registry is down.
	r.closed.Store(true)
	arn = *h.runImage(t, ref)
	h.await(t, arn, "STOPPED")
	h.awaitLine(t, arn, "main", "ran")
}

// A pull that was cut off by kill -9 goes on where it was, and `berth status`
// tells how far it is.
func TestPullAfterKill(t *testing.T) {
	t.Parallel()
	h := newHost(t, "--image-pull-behavior", "always")
	r := newSlowRegistry(t)
	ref := r.push(t, "probe:heavy", 8<<20)
	r.holding.Store(true)
	arn := *h.runImage(t, ref)
	<-r.held
	var pulls []local.PullStatus
	for deadline := time.Now().Add(20 * time.Second); ; {
		status, err := local.Dial(h.dir).Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if pulls = status.Pulls; len(pulls) == 1 && pulls[0].Done >= 1<<20 && pulls[0].Total > 8<<20 || time.Now().After(deadline) {
			break
		}
	}
	if len(pulls) != 1 || pulls[0].Image != ref || pulls[0].Done < 1<<20 || pulls[0].Total <= 8<<20 || pulls[0].Layers != 2 {
		t.Errorf("pulls under way: %+v", pulls)
	}
	if out, err := h.berth("status"); err != nil || !strings.Contains(out, ref) || !strings.Contains(out, "of 2 layers") {
		t.Errorf("berth status: %v\n%s", err, out)
	}
	h.kill()
	r.holding.Store(false)
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	h.await(t, arn, "STOPPED")
	h.awaitLine(t, arn, "main", "ran")
	if r.ranges.Load() == 0 {
		t.Error("the layer was fetched from its beginning")
	}
}

// With no room above the mark, an image goes when no task uses it any more.
func TestImagesMakeRoom(t *testing.T) {
	t.Parallel()
	h := newHost(t, "--image-gc-high", "1", "--image-gc-low", "1", "--image-gc-min-age", "0s", "--image-gc-interval", "1s")
	r := newSlowRegistry(t)
	used, left := r.push(t, "probe:used", 1<<10), r.push(t, "probe:left", 2<<10)
	c := container("main", "print=up", "serve=80")
	c.Image = &used
	arn := *h.run(t, h.register(t, []types.ContainerDefinition{c})).TaskArn
	h.await(t, arn, "RUNNING")
	done := *h.runImage(t, left)
	h.await(t, done, "STOPPED")
	refs := func() string {
		list, err := local.Dial(h.dir).ListImages(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, i := range list {
			all = append(all, i.Ref)
		}
		return strings.Join(all, " ")
	}
	for deadline := time.Now().Add(30 * time.Second); strings.Contains(refs(), left) && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond) // between looks
	}
	if got := refs(); strings.Contains(got, left) || !strings.Contains(got, used) || !strings.Contains(got, "probe:latest") {
		t.Errorf("images %s: want %s gone, %s in use and the imported one", got, left, used)
	}
}
