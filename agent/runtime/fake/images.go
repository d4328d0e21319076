package fake

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	goruntime "runtime"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/berth/berth/agent/runtime"
)

func normalize(ref string) (string, error) {
	named, err := reference.ParseDockerRef(ref)
	if err != nil {
		return "", fmt.Errorf("image reference %q: %w", ref, err)
	}
	return named.String(), nil
}

// Publish puts an image into the registry that Pull asks. Its architecture may
// be another than this host's: then it can't be pulled.
func (r *Runtime) Publish(ref string, config v1.Image) (runtime.Image, error) {
	name, err := normalize(ref)
	if err != nil {
		return runtime.Image{}, err
	}
	img, err := newImage(name, config)
	if err != nil {
		return runtime.Image{}, err
	}
	named, err := reference.ParseDockerRef(name)
	if err != nil {
		return runtime.Image{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	other := config.Architecture != "" && config.Architecture != goruntime.GOARCH
	for _, at := range []string{name, reference.TrimNamed(named).String() + "@" + img.Digest} {
		if img.Ref = at; other {
			img.Digest = "" // marks it
		}
		r.registry[at] = img
	}
	img.Ref = name
	return img, nil
}

func newImage(name string, config v1.Image) (runtime.Image, error) {
	data, err := json.Marshal(config)
	if err != nil {
		return runtime.Image{}, err
	}
	return runtime.Image{
		Ref: name, Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(data)), Size: int64(len(data)),
		CreatedAt: time.Now(), Config: config.Config,
	}, nil
}

func platformError() error {
	return fmt.Errorf("image Manifest does not contain descriptor matching platform 'linux/%s'", goruntime.GOARCH)
}

// Pull takes an image from the registry.
func (r *Runtime) Pull(ctx context.Context, ref string, always bool) (runtime.Image, error) {
	img, err := r.pull(ctx, ref, always)
	if err != nil {
		return runtime.Image{}, &runtime.PullError{Code: "CannotPullContainerError", Err: err}
	}
	return img, nil
}

func (r *Runtime) pull(ctx context.Context, ref string, always bool) (runtime.Image, error) {
	name, err := normalize(ref)
	if err != nil {
		return runtime.Image{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if img, ok := r.images[name]; ok && !always {
		return img, nil
	}
	const tried = "pull image manifest has been retried 1 time(s): "
	if err := ctx.Err(); err != nil {
		return runtime.Image{}, fmt.Errorf(tried+"failed to resolve ref %s: %w", name, err)
	}
	img, ok := r.registry[name]
	if !ok {
		return runtime.Image{}, fmt.Errorf(tried+"failed to resolve ref %s: %s: not found", name, name)
	}
	if img.Digest == "" {
		return runtime.Image{}, fmt.Errorf(tried+"%w", platformError())
	}
	r.images[name] = img
	return img, nil
}

// Image returns a present image.
func (r *Runtime) Image(_ context.Context, ref string) (runtime.Image, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.image(ref)
}

func (r *Runtime) image(ref string) (runtime.Image, error) {
	name, err := normalize(ref)
	if err != nil {
		return runtime.Image{}, err
	}
	img, ok := r.images[name]
	if !ok {
		return runtime.Image{}, missing("image", name)
	}
	return img, nil
}

// ListImages returns all present images, by reference.
func (r *Runtime) ListImages(context.Context) ([]runtime.Image, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []runtime.Image
	for _, img := range r.images {
		list = append(list, img)
	}
	slices.SortFunc(list, func(a, b runtime.Image) int { return strings.Compare(a.Ref, b.Ref) })
	return list, nil
}

// RemoveImage forgets an image.
func (r *Runtime) RemoveImage(_ context.Context, ref string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	img, err := r.image(ref)
	if err != nil {
		return err
	}
	delete(r.images, img.Ref)
	return nil
}

// Import reads an archive's configs and leaves its layers alone.
func (r *Runtime) Import(_ context.Context, from io.Reader, ref string) ([]runtime.Image, error) {
	files, err := readArchive(from)
	if err != nil {
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	found, err := archived(files)
	if err != nil {
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	var imported []runtime.Image
	for _, f := range found {
		if f.config.Architecture != "" && f.config.Architecture != goruntime.GOARCH {
			continue
		}
		names := f.names
		if len(names) == 0 && ref != "" {
			names = []string{ref}
		}
		if len(names) == 0 {
			return nil, errors.New("the archive does not name its image: give a name")
		}
		for _, n := range names {
			name, err := normalize(n)
			if err != nil {
				return nil, err
			}
			img, err := newImage(name, f.config)
			if err != nil {
				return nil, err
			}
			img.Imported = true
			imported = append(imported, img)
		}
	}
	if len(imported) == 0 {
		return nil, platformError()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, img := range imported {
		r.images[img.Ref] = img
	}
	return imported, nil
}

// smallFile is what is kept of an archive: its JSON, not its layers.
const smallFile = 1 << 20

func readArchive(from io.Reader) (map[string][]byte, error) {
	data, err := io.ReadAll(from)
	if err != nil {
		return nil, err
	}
	plain := io.Reader(bytes.NewReader(data))
	if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		if plain, err = gzip.NewReader(plain); err != nil {
			return nil, err
		}
	}
	files := map[string][]byte{}
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		if err == io.EOF {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag != tar.TypeReg || h.Size > smallFile {
			continue
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			return nil, err
		}
	}
}

type found struct {
	names  []string
	config v1.Image
}

// archived finds the images of a docker-archive or an OCI layout.
func archived(files map[string][]byte) ([]found, error) {
	var list []found
	if data, ok := files["manifest.json"]; ok {
		var manifests []struct {
			Config   string
			RepoTags []string
		}
		if err := json.Unmarshal(data, &manifests); err != nil {
			return nil, err
		}
		for _, m := range manifests {
			f := found{names: m.RepoTags}
			if err := json.Unmarshal(files[m.Config], &f.config); err != nil {
				return nil, err
			}
			list = append(list, f)
		}
		return list, nil
	}
	blob := func(d v1.Descriptor, v any) error {
		return json.Unmarshal(files["blobs/"+d.Digest.Algorithm().String()+"/"+d.Digest.Encoded()], v)
	}
	var index v1.Index
	if err := json.Unmarshal(files[v1.ImageIndexFile], &index); err != nil {
		return nil, errors.New("it is neither an OCI layout nor a docker-archive")
	}
	for _, d := range index.Manifests {
		var m v1.Manifest
		var f found
		if err := errors.Join(blob(d, &m), blob(m.Config, &f.config)); err != nil {
			return nil, err
		}
		if name := d.Annotations[v1.AnnotationRefName]; strings.ContainsAny(name, "/:@") {
			f.names = []string{name}
		}
		list = append(list, f)
	}
	return list, nil
}
