// Image packs a static Linux program into a one-layer container image and
// writes it as a docker-archive tar, without a registry or a container engine.
//
//	go run ./examples/hello/image -program hello -name hello:latest -o hello.tar
package main

import (
	"archive/tar"
	"bytes"
	"flag"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func main() {
	log.SetFlags(0)
	program := flag.String("program", "", "the static program to pack")
	ref := flag.String("name", "hello:latest", "the image's name")
	out := flag.String("o", "image.tar", "the archive to write")
	flag.Parse()
	if err := pack(*program, *ref, *out); err != nil {
		log.Fatal(err)
	}
}

// pack writes an image whose entry point is the program, at /<base name>.
func pack(program, ref, out string) error {
	tag, err := name.NewTag(ref)
	if err != nil {
		return err
	}
	binary, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	path := "/" + filepath.Base(program)
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := w.WriteHeader(&tar.Header{Name: path[1:], Mode: 0o755, Size: int64(len(binary))}); err != nil {
		return err
	}
	if _, err := w.Write(binary); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
	if err != nil {
		return err
	}
	image, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		return err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config = v1.Config{Entrypoint: []string{path}, Env: []string{"PATH=/"}}
	image, err = mutate.ConfigFile(image, config)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(out, tag, image)
}
