package runtimetest

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/berth/berth/agent/runtime"
)

// places has mounts, file systems in memory and devices lead through links in an
// image that point out of it: nothing may appear on the host, whether the
// container starts or not.
func (r *suite) places(t *testing.T) {
	outside := t.TempDir()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	up := strings.Repeat("../", 40)
	for path, to := range map[string]string{"absolute": outside, "relative": up + outside[1:], "self": "/proc/self/root" + outside, "root": "/", "loop": "loop"} {
		if err := w.WriteHeader(&tar.Header{Name: path, Linkname: to, Typeflag: tar.TypeSymlink, Mode: 0o777}); err != nil {
			t.Fatal(err)
		}
	}
	// In the image there is a directory of that name too.
	if err := w.WriteHeader(&tar.Header{Name: outside[1:] + "/", Typeflag: tar.TypeDir, Mode: 0o777}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	links, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(NewImage(t, r.file, "links"), links)
	if err != nil {
		t.Fatal(err)
	}
	ctx := bounded(t)
	if _, err := r.Import(ctx, bytes.NewReader(DockerArchive(t, img, "links")), ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.RemoveImage(context.Background(), "links"); err != nil {
			t.Error(err)
		}
	})
	source := t.TempDir()
	for _, target := range []string{"/absolute/x", "/relative/x", "/self/x", "/root" + outside + "/x", "/loop/x", "/" + up + outside[1:] + "/x"} {
		for what, change := range map[string]func(*runtime.Spec){
			"a mount":       func(s *runtime.Spec) { s.Mounts = []runtime.Mount{{Source: source, Target: target}} },
			"a file system": func(s *runtime.Spec) { s.Tmpfs = []runtime.Tmpfs{{Target: target, Size: 1 << 20}} },
			"a device": func(s *runtime.Spec) {
				s.Devices = []runtime.Device{{Source: "/dev/null", Target: target, Permissions: "rwm"}}
			},
			"a privileged process": func(s *runtime.Spec) {
				s.Privileged, s.Devices = true, []runtime.Device{{Source: "/dev/null", Target: target}}
			},
		} {
			if r.OwnKernel && what != "a mount" && what != "a file system" {
				continue
			}
			spec := r.spec("write="+target+"/written:x", "exit=0")
			spec.Image, spec.User = "links", "0"
			change(&spec)
			id := r.create(t, spec)
			err := r.Start(ctx, id)
			if err == nil {
				if _, err := r.Wait(ctx, id); err != nil {
					t.Error(err)
				}
			}
			if leads := !strings.HasPrefix(target, "/self") && !strings.HasPrefix(target, "/loop"); leads != (err == nil) && !r.OwnKernel {
				t.Errorf("%s at %s: start: %v", what, target, err)
			}
			entries, readErr := os.ReadDir(outside)
			if readErr != nil || len(entries) > 0 {
				t.Fatalf("%s at %s: on the host there is %v, %v (start: %v)", what, target, entries, readErr, err)
			}
			if err := os.RemoveAll(filepath.Join(source, "written")); err != nil {
				t.Fatal(err)
			}
		}
	}
}
