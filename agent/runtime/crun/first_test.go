package crun

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/berth/berth/agent/runtime"
)

func TestFirst(t *testing.T) {
	ctx := t.Context()
	root, _ := os.MkdirTemp("", "berth-rt-")
	bin, _ := os.ReadFile("/tmp/rt/hi")
	var layer bytes.Buffer
	tw := tar.NewWriter(&layer)
	tw.WriteHeader(&tar.Header{Name: "hi", Mode: 0o755, Size: int64(len(bin))})
	tw.Write(bin)
	tw.Close()
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, _ := mutate.AppendLayers(empty.Image, l)
	cfg, _ := img.ConfigFile()
	cfg.OS, cfg.Architecture = "linux", "amd64"
	img, _ = mutate.ConfigFile(img, cfg)
	_ = v1.Config{}
	var arch bytes.Buffer
	tag, _ := name.NewTag("hello")
	if err := tarball.Write(tag, img, &arch); err != nil {
		t.Fatal(err)
	}
	r, err := Open(ctx, Config{Root: filepath.Join(root, "rt"), Instance: "0badcafe", Log: slog.Default()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Destroy(context.Background()); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	}()
	imgs, err := r.Import(ctx, &arch, "")
	t.Log(imgs, err)
	if err := r.CreateSandbox(ctx, runtime.Sandbox{ID: "t1", CPU: 256, Memory: 512}); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		id := "c" + string(rune('0'+i))
		t0 := time.Now()
		if err := r.Create(ctx, runtime.Spec{ID: id, Sandbox: "t1", Image: "hello", Args: []string{"/hi"}}); err != nil {
			t.Fatal(err)
		}
		t1 := time.Now()
		if err := r.Start(ctx, id); err != nil {
			t.Fatal(err)
		}
		t2 := time.Now()
		st, err := r.Wait(ctx, id)
		t3 := time.Now()
		data, _ := os.ReadFile(r.LogPath(id))
		if err := r.Remove(ctx, id); err != nil {
			t.Fatal(err)
		}
		t.Log(t1.Sub(t0), t2.Sub(t1), t3.Sub(t2), time.Since(t3), st, err, string(data))
	}
	out, _ := exec.Command("find", root, "-maxdepth", "3").CombinedOutput()
	t.Log(string(out))
}
