package images

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"github.com/berth/berth/agent/runtime"
)

func zstandard(t testing.TB, files ...file) v1.Layer {
	t.Helper()
	plain := archived(t, files...)
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return newLayer(t, plain, w.EncodeAll(plain, nil), types.OCILayerZStd)
}

func TestKindsOfImages(t *testing.T) {
	w := newWorld(t)
	s := newStore(t, Registries{})
	hello := reg("hello", "world")
	other := "arm64"
	if goruntime.GOARCH == other {
		other = "amd64"
	}
	plain := archived(t, hello)
	docker := func(l v1.Layer) v1.Image {
		img, err := mutate.AppendLayers(empty.Image, l)
		if err != nil {
			t.Fatal(err)
		}
		return forPlatform(t, img, goruntime.GOARCH)
	}
	index := func(kind types.MediaType, imgs ...v1.Image) v1.ImageIndex {
		list := mutate.IndexMediaType(empty.Index, kind)
		for _, img := range imgs {
			config, err := img.ConfigFile()
			if err != nil {
				t.Fatal(err)
			}
			list = mutate.AppendManifests(list, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: config.Platform()}})
		}
		return list
	}
	foreign := forPlatform(t, newImage(t, gzipped(t, reg("hello", "stranger"))), other)
	for what, image := range map[string]any{
		"gzip":                newImage(t, gzipped(t, hello)),
		"zstd":                newImage(t, zstandard(t, hello)),
		"plain":               newImage(t, newLayer(t, plain, plain, types.OCIUncompressedLayer)),
		"said to be plain":    newImage(t, newLayer(t, plain, zip(t, plain), types.OCIUncompressedLayer)),
		"gzip in members":     newImage(t, newLayer(t, plain, slices.Concat(zip(t, plain[:512]), zip(t, plain[512:1024]), zip(t, plain[1024:])), types.OCILayer)), // as eStargz is
		"schema 2":            docker(newLayer(t, plain, zip(t, plain), types.DockerLayer)),
		"schema 2, plain":     docker(newLayer(t, plain, plain, types.DockerUncompressedLayer)),
		"index":               index(types.OCIImageIndex, foreign, newImage(t, gzipped(t, hello))),
		"manifest list":       index(types.DockerManifestList, foreign, docker(newLayer(t, plain, zip(t, plain), types.DockerLayer))),
		"two layers, same as": newImage(t, gzipped(t, hello), gzipped(t, hello)),
	} {
		t.Run(what, func(t *testing.T) {
			ref := w.push(t, "kind:"+strings.Trim(strings.Map(func(r rune) rune {
				if r == ' ' || r == ',' {
					return '-'
				}
				return r
			}, what), "-"), image)
			if _, err := s.Pull(t.Context(), ref, false); err != nil {
				t.Fatal(err)
			}
			if got := read(t, s, ref, "hello"); got != "world" {
				t.Errorf("the file says %q", got)
			}
		})
	}
	refuse := func(what string, image any, says string) {
		t.Run(what, func(t *testing.T) {
			ref := w.push(t, "refused:1", image)
			_, err := s.Pull(t.Context(), ref, true)
			var pull *runtime.PullError
			if !errors.As(err, &pull) || !strings.Contains(err.Error(), says) {
				t.Errorf("error %v, want one that says %q", err, says)
			}
		})
	}
	refuse("index without this platform", index(types.OCIImageIndex, foreign), "image Manifest does not contain descriptor matching platform 'linux/"+goruntime.GOARCH)
	refuse("foreign layer", newImage(t, newLayer(t, plain, zip(t, plain), types.DockerForeignLayer)), "is foreign")
	refuse("layer of another kind", newImage(t, newLayer(t, plain, zip(t, plain), "application/vnd.example.wasm")), `of type "application/vnd.example.wasm", which can't be unpacked`)
	refuse("encrypted layer", newImage(t, newLayer(t, plain, zip(t, plain), types.OCILayer+"+encrypted")), "which can't be unpacked")
	artifact := mutate.ConfigMediaType(newImage(t, gzipped(t, hello)), "application/vnd.cncf.helm.config.v1+json")
	refuse("artifact", artifact, `an artifact of type "application/vnd.cncf.helm.config.v1+json" is not an image`)
	many := make([]v1.Layer, maxLayers+1)
	for i := range many {
		many[i] = gzipped(t, reg(fmt.Sprint(i), ""))
	}
	refuse("too many layers", newImage(t, many...), "max depth exceeded")
	nested := index(types.OCIImageIndex, newImage(t, gzipped(t, hello)))
	for range maxIndexes {
		nested = mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: nested})
	}
	refuse("indexes in indexes", nested, "deep in one another")
	refuse("other bytes than the config says", newImage(t, newLayer(t, archived(t, reg("other", "")), zip(t, plain), types.OCILayer)), "wrong diff id")
	refuse("no archive", newImage(t, newLayer(t, []byte("x"), []byte(noise(2000)), types.OCILayer)), "ref pull has been retried 1 time(s): failed to extract layer")
	// Another one, as the layer that this was is there already.
	longer := archived(t, reg("longer", noise(3000)))
	cut := zip(t, longer)
	refuse("a cut archive", newImage(t, newLayer(t, longer, cut[:len(cut)-12], types.OCILayer)), "unexpected EOF")
}

func link(kind byte, name, target string) file {
	return file{Header: tar.Header{Name: name, Linkname: target, Typeflag: kind, Mode: 0o777}}
}

// What a layer's archive says stays in the layer, whatever it says.
func TestHostileLayers(t *testing.T) {
	w := newWorld(t)
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	up := strings.Repeat("../", 40)
	for n, c := range []struct {
		what   string
		layers [][]file
		fails  bool // it may be refused, or come to something inside
	}{
		{"a path that leads out", [][]file{{reg(up+outside+"/new", "x")}}, false},
		{"an absolute path", [][]file{{reg(outside+"/new", "x")}}, false},
		{"a link as a directory", [][]file{{link(tar.TypeSymlink, "d", outside), reg("d/new", "x"), reg("d/secret", "x")}}, false},
		{"a link as a directory, below", [][]file{{link(tar.TypeSymlink, "d", outside)}, {reg("d/new", "x"), reg("d/secret", "x")}}, false},
		{"a link of links", [][]file{{link(tar.TypeSymlink, "a", up), link(tar.TypeSymlink, "b", "a"+outside), reg("b/secret", "x")}}, false},
		{"a link as a file", [][]file{{link(tar.TypeSymlink, "f", secret), reg("f", "x")}}, false},
		{"a hard link to the outside", [][]file{{link(tar.TypeLink, "h", secret), reg("h", "x")}}, true},
		{"a hard link up to the outside", [][]file{{link(tar.TypeLink, "h", up+secret), reg("h", "x")}}, true},
		{"a hard link by a link", [][]file{{link(tar.TypeSymlink, "d", outside), link(tar.TypeLink, "h", "d/secret")}}, true},
		{"a whiteout of the outside", [][]file{{reg(up+outside+"/.wh.secret", "")}}, false},
		{"a whiteout by a link", [][]file{{link(tar.TypeSymlink, "d", outside), reg("d/.wh.secret", "")}}, false},
		{"a whiteout of dots", [][]file{{reg("d/.wh...", "")}}, true},
		{"a whiteout of what is above", [][]file{{reg("d/.wh..", "")}}, true},
		{"an opaque directory by a link", [][]file{{link(tar.TypeSymlink, "d", outside), reg("d/.wh..wh..opq", "")}}, true},
		{"the root as a file", [][]file{{reg(".", "x"), link(tar.TypeSymlink, "..", outside)}}, true},
		{"another's overlay marks", [][]file{{
			{Header: tar.Header{Name: "d", Typeflag: tar.TypeDir, Mode: 0o755, PAXRecords: map[string]string{"SCHILY.xattr.trusted.overlay.redirect": "/etc", "SCHILY.xattr.trusted.overlay.opaque": "y"}}},
		}}, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := newStore(t, Registries{})
			layers := []v1.Layer{gzipped(t, reg("base", "there"))}
			for _, files := range c.layers {
				layers = append(layers, gzipped(t, files...))
			}
			ref := w.push(t, fmt.Sprintf("hostile:%d", n), newImage(t, layers...))
			_, err := s.Pull(t.Context(), ref, false)
			if err != nil && !c.fails {
				t.Errorf("refused: %v", err)
			}
			data, readErr := os.ReadFile(secret)
			entries, dirErr := os.ReadDir(outside)
			info, statErr := os.Stat(secret)
			if string(data) != "kept" || len(entries) != 1 || readErr != nil || dirErr != nil || statErr != nil {
				t.Fatalf("the host was touched: %q, %v, %v", data, entries, errors.Join(readErr, dirErr, statErr))
			}
			if links := info.Sys().(*syscall.Stat_t).Nlink; links != 1 {
				t.Errorf("the host's file has %d names", links)
			}
			if err != nil {
				return
			}
			for _, dir := range tops(t, s, ref) {
				var value [8]byte
				if n, err := syscall.Getxattr(filepath.Join(dir, "d"), "trusted.overlay.redirect", value[:]); err == nil {
					t.Errorf("the directory leads to %q", value[:n])
				}
			}
		})
	}
}

func TestWhiteouts(t *testing.T) {
	w := newWorld(t)
	s := newStore(t, Registries{})
	ref := w.push(t, "white:1", newImage(t,
		gzipped(t, reg("gone", "1"), reg("stays", "1"), reg("dir/below", "1")),
		gzipped(t, reg(".wh.gone", ""), reg("dir/.wh..wh..opq", ""), reg("dir/new", "2"))))
	if _, err := s.Pull(t.Context(), ref, false); err != nil {
		t.Fatal(err)
	}
	dirs := tops(t, s, ref)
	target := t.TempDir()
	if err := syscall.Mount("overlay", target, "overlay", syscall.MS_RDONLY, "lowerdir="+strings.Join(dirs, ":")); err != nil {
		t.Fatal(err)
	}
	defer syscall.Unmount(target, 0)
	var found []string
	err := filepath.WalkDir(target, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found = append(found, strings.TrimPrefix(path, target+"/"))
		}
		return err
	})
	if want := []string{"dir/new", "stays"}; err != nil || !slices.Equal(found, want) {
		t.Errorf("files %v, want %v: %v", found, want, err)
	}
}

// What comes to more than there is room for is refused before it is written.
func TestLayersWithoutRoom(t *testing.T) {
	w := newWorld(t)
	s := newStore(t, Registries{})
	// Few bytes that say they are very many: the rest of it is zeros.
	huge := archived(t, reg("small", "x"))
	header := archived(t, file{Header: tar.Header{Name: "huge", Typeflag: tar.TypeReg, Size: 0, Mode: 0o644}})[:512]
	copy(header[124:136], "\x80\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00") // 2^44 bytes, in base 256
	sum := 0
	copy(header[148:156], "        ")
	for _, b := range header {
		sum += int(b)
	}
	copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
	plain := append(slices.Clone(header), huge...)
	ref := w.push(t, "huge:1", newImage(t, newLayer(t, plain, zip(t, plain), types.OCILayer)))
	_, err := s.Pull(t.Context(), ref, false)
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("a huge file: %v", err)
	}
	if err := s.checkRoom(1 << 60); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a huge image: %v", err)
	}
	count := &limited{r: strings.NewReader(strings.Repeat("x", 100)), left: 10}
	var buf [64]byte
	if _, err := count.Read(buf[:]); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a long stream: %v", err)
	}
}

// Archives and paths have bounds, so that what they cost has.
func TestBounds(t *testing.T) {
	s := newStore(t, Registries{})
	var many []file
	for i := range maxFiles + 1 {
		many = append(many, reg(fmt.Sprint("f", i), ""))
	}
	if _, err := s.Import(t.Context(), bytes.NewReader(archived(t, many...)), "many:1"); err == nil || !strings.Contains(err.Error(), "more than 10000 files") {
		t.Errorf("an archive of many files: %v", err)
	}
	w := newWorld(t)
	store := newStore(t, Registries{})
	for depth, ok := range map[int]bool{maxDepth - 1: true, maxDepth + 1: false, 1500: false} {
		ref := w.push(t, fmt.Sprintf("deep:%d", depth), newImage(t, gzipped(t, reg(strings.Repeat("d/", depth)+"f", "x"))))
		began := time.Now()
		if _, err := store.Pull(t.Context(), ref, false); (err == nil) != ok || !ok && !strings.Contains(err.Error(), "directories deep") {
			t.Errorf("a file %d directories deep: %v", depth, err)
		}
		t.Logf("%d directories: %s", depth, time.Since(began))
	}
}
