package e2e

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	kinds "github.com/google/go-containerregistry/pkg/v1/types"
)

// pushLazily puts the probe into the registry as an image that can be had lazily.
func (r *slowRegistry) pushLazily(t *testing.T, repo string) string {
	t.Helper()
	probe, err := tarball.ImageFromPath(built.image, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := probe.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.RootFS.DiffIDs, config.History = nil, nil
	img, err := mutate.ConfigFile(mutate.ConfigMediaType(mutate.MediaType(empty.Image, kinds.OCIManifestSchema1), kinds.OCIConfigJSON), config)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := probe.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		plain, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(plain)
		if err != nil {
			t.Fatal(err)
		}
		made, err := estargz.Build(io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b))), estargz.WithChunkSize(1<<20))
		if err != nil {
			t.Fatal(err)
		}
		blob, err := io.ReadAll(made)
		if err = errors.Join(err, made.Close()); err != nil { // it has files
			t.Fatal(err)
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(blob)), nil }, tarball.WithMediaType(kinds.OCILayer))
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.Append(img, mutate.Addendum{Layer: layer, MediaType: kinds.OCILayer, Annotations: map[string]string{estargz.TOCJSONDigestAnnotation: made.TOCDigest().String()}}); err != nil {
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

// A container runs while the layers of its image still come, over a kill -9 of
// Berth too, and the image is whole in the end.
func TestLazyImage(t *testing.T) {
	t.Parallel()
	r := newSlowRegistry(t)
	ref := r.pushLazily(t, "probe:lazy")
	r.secret = "hush"
	h := newHost(t)
	config := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, r.host, base64.StdEncoding.EncodeToString([]byte("me:hush")))
	if err := os.WriteFile(filepath.Join(h.dir, "registry.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	r.holding.Store(true)
	c := container("main", "print=up", "serve=80")
	c.Image = &ref
	group := h.group(t, "--protocol tcp --port 80 --cidr 0.0.0.0/0")
	arn := *h.run(t, h.register(t, []types.ContainerDefinition{c}), withGroups(group)).TaskArn
	running := h.await(t, arn, "RUNNING")
	if !slices.ContainsFunc(running.Attributes, func(a types.Attribute) bool { return strings.HasSuffix(aws.ToString(a.Name), ".lazy-pull.main") }) {
		t.Errorf("its timeline has no lazy pull: %+v", running.Attributes)
	}
	h.awaitLine(t, arn, "main", "up")
	<-r.held // the layer is under way, and doesn't come
	h.kill()
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	address := detail(t, running, "privateIPv4Address")
	if _, err := fetch(t.Context(), "http://"+address+"/"); err != nil {
		t.Errorf("after the kill: %v", err)
	}
	// A second one begins as the first did.
	second := *h.runImage(t, ref)
	h.await(t, second, "STOPPED")
	h.awaitLine(t, second, "main", "ran")
	r.holding.Store(false)
	h.kill() // or the layer would be waited for until its registry counts as silent
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 60*time.Second, func() error {
		out, err := h.berth("status", "--json")
		if err == nil && strings.Contains(out, ref+`"`) && strings.Contains(out, "unpacked") {
			err = fmt.Errorf("it is still pulled: %s", out)
		}
		if err == nil {
			var left []string
			left, err = filepath.Glob(filepath.Join(h.dir, "runtime/images/content/ingest/*"))
			if err == nil && len(left) > 0 {
				err = fmt.Errorf("still to come: %v", left)
			}
		}
		return err
	})
	r.closed.Store(true)
	third := *h.runImage(t, ref)
	h.await(t, third, "STOPPED")
	h.awaitLine(t, third, "main", "ran")
	h.stop(t, arn)
	eventually(t, 20*time.Second, func() error {
		if pids := lazyProcesses(h.dir); len(pids) > 0 {
			return fmt.Errorf("the process that had the layers is still there: %v", pids)
		}
		return nil
	})
}

// When what has the layers is killed, the containers that run on them end, and the
// image can be had again.
func TestLazyImageLost(t *testing.T) {
	t.Parallel()
	r := newSlowRegistry(t)
	ref := r.pushLazily(t, "probe:lazy")
	h := newHost(t)
	r.holding.Store(true)
	c := container("main", "print=up", "wait")
	c.Image = &ref
	arn := *h.run(t, h.register(t, []types.ContainerDefinition{c})).TaskArn
	h.await(t, arn, "RUNNING")
	h.awaitLine(t, arn, "main", "up")
	pids := lazyProcesses(h.dir)
	if len(pids) != 1 {
		t.Fatalf("processes that have layers: %v", pids)
	}
	if out, err := exec.Command("kill", append([]string{"-KILL"}, pids...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	end := h.await(t, arn, "STOPPED")
	if code := aws.ToInt32(end.Containers[0].ExitCode); code != 137 {
		t.Errorf("the container ended with %d; %s", code, reasons(end))
	}
	again := *h.runImage(t, ref)
	h.await(t, again, "STOPPED")
	h.awaitLine(t, again, "main", "ran")
}

// lazyProcesses are those that have layers for an installation.
func lazyProcesses(dir string) []string {
	out, err := exec.Command("pgrep", "-f", "lazy-layers "+dir).Output()
	if err != nil {
		return nil
	}
	return slices.Collect(strings.FieldsSeq(string(out)))
}
