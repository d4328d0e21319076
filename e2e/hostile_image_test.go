package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/sys/unix"

	"github.com/berth/berth/local"
)

// entry is one file of an image's layer.
type entry struct {
	tar.Header
	data string
}

func file(path, data string) entry {
	return entry{tar.Header{Name: path, Mode: 0o644, Typeflag: tar.TypeReg}, data}
}

func link(path, to string) entry {
	return entry{tar.Header{Name: path, Mode: 0o777, Typeflag: tar.TypeSymlink, Linkname: to}, ""}
}

// archive is the probe's image with a layer and a config of the test's own, as
// `docker save` writes it.
func archive(t *testing.T, ref string, edit func(*v1.Config), entries ...entry) []byte {
	t.Helper()
	img, err := tarball.ImageFromPath(built.image, nil)
	if err != nil {
		t.Fatal(err)
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, e := range entries {
		h := e.Header
		if h.Size = int64(len(e.data)); h.Typeflag != tar.TypeReg {
			h.Size = 0
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if len(entries) > 0 {
		l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, l); err != nil {
			t.Fatal(err)
		}
	}
	if edit != nil {
		config, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		config = config.DeepCopy()
		edit(&config.Config)
		if img, err = mutate.ConfigFile(img, config); err != nil {
			t.Fatal(err)
		}
	}
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := tarball.Write(tag, img, &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// importImage imports such an image.
func (h *host) importImage(t *testing.T, ref string, edit func(*v1.Config), entries ...entry) {
	t.Helper()
	if _, err := local.Dial(h.dir).ImportImage(t.Context(), bytes.NewReader(archive(t, ref, edit, entries...)), ""); err != nil {
		t.Fatalf("import %s: %v", ref, err)
	}
}

// Archives that lie: the import says what is wrong, or keeps to the image's own
// files, and leaves nothing.
func TestHostileArchives(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	blobs, ingests, snapshots := h.imageFiles(t)
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("of the host"), 0o600); err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 1<<16)
	rand.Read(noise)
	good := archive(t, "good:1", nil)
	zip := func(b []byte) []byte {
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		z.Write(b)
		z.Close()
		return out.Bytes()
	}
	plain := func(entries ...entry) []byte {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		for _, e := range entries {
			e.Size = int64(len(e.data))
			if err := w.WriteHeader(&e.Header); err != nil {
				t.Fatal(err)
			}
			io.WriteString(w, e.data)
		}
		w.Close()
		return out.Bytes()
	}
	for _, test := range []struct {
		name string
		data []byte
	}{
		{"nothing", nil},
		{"noise", noise},
		{"zipped noise", zip(noise)},
		{"a gzip header alone", []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3}},
		{"cut off", good[:len(good)/2]},
		{"zipped and cut off", zip(good)[:len(good)/3]},
		{"an empty tar", plain()},
		{"a tar of something else", plain(file("a", "b"))},
		{"a manifest that is no JSON", plain(file("manifest.json", "hello"))},
		{"a manifest of the wrong shape", plain(file("manifest.json", `{"Config":7}`))},
		{"a deep manifest", plain(file("manifest.json", strings.Repeat("[", 200_000)))},
		{"an empty manifest", plain(file("manifest.json", `[]`))},
		{"a config from outside", plain(file("manifest.json", `[{"Config":"../../../../../etc/passwd","RepoTags":["x:1"],"Layers":["`+secret+`"]}]`))},
		{"a layer that isn't there", plain(file("c.json", `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:`+strings.Repeat("0", 64)+`"]}}`), file("manifest.json", `[{"Config":"c.json","RepoTags":["x:1"],"Layers":["l.tar"]}]`))},
		{"a layer that is a link outside", plain(file("c.json", `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:`+strings.Repeat("0", 64)+`"]}}`), link("l.tar", secret), file("manifest.json", `[{"Config":"c.json","RepoTags":["x:1"],"Layers":["l.tar"]}]`))},
		{"a layer of noise", plain(file("c.json", `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:`+strings.Repeat("0", 64)+`"]}}`), file("l.tar", string(noise)), file("manifest.json", `[{"Config":"c.json","RepoTags":["x:1"],"Layers":["l.tar"]}]`))},
		{"an index without its blobs", plain(file("oci-layout", `{"imageLayoutVersion":"1.0.0"}`), file("index.json", `{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:`+strings.Repeat("0", 64)+`","size":12,"annotations":{"io.containerd.image.name":"docker.io/library/x:1"}}]}`))},
		{"an index of negative size", plain(file("oci-layout", `{"imageLayoutVersion":"1.0.0"}`), file("index.json", `{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:`+strings.Repeat("0", 64)+`","size":-12,"annotations":{"io.containerd.image.name":"docker.io/library/x:1"}}]}`))},
		{"an index with a path for a digest", plain(file("oci-layout", `{"imageLayoutVersion":"1.0.0"}`), file("index.json", `{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"../../etc/passwd","size":12,"annotations":{"io.containerd.image.name":"docker.io/library/x:1"}}]}`))},
		{"another layout version", plain(file("oci-layout", `{"imageLayoutVersion":"9"}`), file("index.json", `{}`))},
	} {
		t.Run(test.name, func(t *testing.T) {
			images, err := local.Dial(h.dir).ImportImage(t.Context(), bytes.NewReader(test.data), "named:1")
			if err == nil {
				t.Fatalf("imported as %v", images)
			}
			if text := err.Error(); len(text) > 2000 || strings.Contains(text, "of the host") || strings.Contains(text, "panic") {
				t.Errorf("the error is %s", text)
			} else {
				t.Log(text)
			}
		})
	}
	device := entry{tar.Header{Name: "disk", Mode: 0o666, Typeflag: tar.TypeBlock, Devmajor: 254, Devminor: 0}, ""}
	for _, test := range []struct {
		name    string
		entries []entry
		look    string // a file in the container that may hold no secret
	}{
		{"up and out", []entry{file("../../../../../../../.."+outside+"/escaped", "x")}, ""},
		{"absolute", []entry{file(outside+"/escaped", "x")}, ""},
		{"through a link", []entry{link("out", outside), file("out/escaped", "x")}, ""},
		{"through a relative link", []entry{link("out", "../../../../../../../.."+outside), file("out/escaped", "x")}, ""},
		{"through a link over a link", []entry{link("a", "/"), link("a/b", outside), file("b/escaped", "x")}, ""},
		{"hard link outside", []entry{{tar.Header{Name: "stolen", Mode: 0o644, Typeflag: tar.TypeLink, Linkname: secret}, ""}}, "/stolen"},
		{"hard link up and out", []entry{{tar.Header{Name: "stolen", Mode: 0o644, Typeflag: tar.TypeLink, Linkname: "../../../../../../../.." + secret}, ""}}, "/stolen"},
		{"link to a file outside", []entry{link("stolen", secret)}, "/stolen"},
		{"whiteout outside", []entry{file("../../../../../../../.."+outside+"/.wh.secret", "")}, ""},
		{"whiteout through a link", []entry{link("out", outside), file("out/.wh.secret", "")}, ""},
		{"opaque through a link", []entry{link("out", outside), file("out/.wh..wh..opq", "")}, ""},
		{"whiteout of everything", []entry{file(".wh..", ""), file(".wh...", "")}, ""},
		{"the root as a link", []entry{link("./", outside), file("escaped", "x")}, ""},
		{"a block device", []entry{device}, "/disk"},
		{"a long name", []entry{file(strings.Repeat("d/", 300)+"f", "x")}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			ref := fmt.Sprintf("layer-%s:1", strings.ReplaceAll(test.name, " ", "-"))
			_, err := local.Dial(h.dir).ImportImage(t.Context(), bytes.NewReader(archive(t, ref, nil, test.entries...)), "")
			defer func() {
				if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
					t.Errorf("outside of the image is now %v, %v", entries, err)
				}
				if b, err := os.ReadFile(secret); err != nil || string(b) != "of the host" {
					t.Errorf("the host's file is now %q, %v", b, err)
				}
			}()
			if err != nil {
				t.Logf("refused: %v", err)
				return
			}
			c := container("main", "print=runs", "cat="+test.look)
			c.Image = &ref
			task := h.await(t, *h.run(t, h.register(t, []types.ContainerDefinition{c})).TaskArn, "STOPPED")
			t.Logf("runs: %s; %s", aws.ToString(task.StoppedReason), reasons(task))
			if aws.ToInt32(task.Containers[0].ExitCode) == 0 && test.look != "" && task.Containers[0].ExitCode != nil {
				t.Errorf("the container could read %s", test.look)
			}
			if _, err := h.berth("image", "rm", ref); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, 20*time.Second, func() error {
		if b, i, s := h.imageFiles(t); b > blobs || i > ingests || s > snapshots {
			return fmt.Errorf("the image store holds %d blobs, %d begun ones and %d snapshots; before it held %d, %d and %d", b, i, s, blobs, ingests, snapshots)
		}
		return nil
	})
}

// An archive that grows beyond the disk is refused, and gives the room back.
func TestArchiveBomb(t *testing.T) {
	t.Parallel()
	h, dir := smallHost(t, "size=640m,mode=711")
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	w := tar.NewWriter(z)
	if err := w.WriteHeader(&tar.Header{Name: "blobs/sha256/" + strings.Repeat("0", 64), Mode: 0o644, Typeflag: tar.TypeReg, Size: 2 << 30}); err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for range 2 << 10 {
		w.Write(zeros)
	}
	w.Close()
	z.Close()
	before := room(t, dir)
	if _, err := local.Dial(h.dir).ImportImage(t.Context(), &bomb, "bomb:1"); err == nil {
		t.Error("2 GiB fitted on a small disk")
	} else {
		t.Logf("refused: %v", err)
	}
	eventually(t, 20*time.Second, func() error {
		if after := room(t, dir); after < before-16<<20 {
			return fmt.Errorf("%d MiB are free, before the bomb %d", after>>20, before>>20)
		}
		return nil
	})
	task := h.await(t, *h.run(t, h.register(t, []types.ContainerDefinition{container("main", "exit=3")})).TaskArn, "STOPPED")
	if aws.ToInt32(task.Containers[0].ExitCode) != 3 {
		t.Errorf("a task after the bomb: %s %s", aws.ToString(task.StoppedReason), reasons(task))
	}
}

// smallHost is a host whose data directory is on a disk of its own.
func smallHost(t *testing.T, options string) (h *host, disk string) {
	t.Helper()
	top, err := os.MkdirTemp("", "berth-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	disk = filepath.Join(top, "disk")
	if err := os.Mkdir(disk, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("berth-e2e", disk, "tmpfs", 0, options); err != nil {
		t.Fatalf("mount a small disk on %s: %v", disk, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, 0); err != nil {
			t.Errorf("unmount %s: %v", disk, err)
		}
		os.RemoveAll(top)
	})
	return newHostIn(t, filepath.Join(disk, "data")), disk
}

// room is how many bytes are free where dir is.
func room(t *testing.T, dir string) int64 {
	t.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	return int64(s.Bavail) * s.Bsize
}
