package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/berth/berth/agent/runtime/lazy"
)

// from says where the blob of a layer is had, for the process that mounts it.
type from struct {
	Image      string
	Registries Registries
}

// openBlob opens a layer's blob: the one in the content store, once it is there,
// and until then parts of the registry's.
func openBlob(content string, m lazy.Mount) (io.ReaderAt, error) {
	var f from
	if err := json.Unmarshal(m.From, &f); err != nil {
		return nil, err
	}
	named, err := reference.ParseNormalizedNamed(f.Image)
	if err != nil {
		return nil, err
	}
	hosts, err := f.Registries.hosts()
	if err != nil {
		return nil, err
	}
	at, err := hosts(reference.Domain(named))
	if err != nil || len(at) == 0 {
		return nil, fmt.Errorf("find the registry of %s: %w", f.Image, err)
	}
	return &blob{
		path: filepath.Join(content, "blobs", m.Digest.Algorithm().String(), m.Digest.Encoded()),
		host: at[0], repository: reference.Path(named), digest: m.Digest, size: m.Size,
	}, nil
}

// blob is a blob that may be there or still to come.
type blob struct {
	path       string
	host       docker.RegistryHost
	repository string
	digest     digest.Digest
	size       int64
}

// rangeTime bounds one asking for a part of a blob, all tries together: who
// reads the file waits for it.
const rangeTime = 2 * time.Minute

func (b *blob) ReadAt(p []byte, off int64) (int, error) {
	if off >= b.size {
		return 0, io.EOF
	}
	var end error
	if off+int64(len(p)) > b.size {
		p, end = p[:b.size-off], io.EOF
	}
	if f, err := os.Open(b.path); err == nil {
		defer f.Close()
		return f.ReadAt(p, off)
	}
	ctx, cancel := context.WithTimeout(docker.WithScope(context.Background(), "repository:"+b.repository+":pull"), rangeTime)
	defer cancel()
	_, err := retry(ctx, blobTries, nil, func() error { return b.ask(ctx, p, off) })
	if err != nil {
		return 0, err
	}
	return len(p), end
}

// ask asks the registry for a part, once.
func (b *blob) ask(ctx context.Context, p []byte, off int64) error {
	url := fmt.Sprintf("%s://%s%s/%s/blobs/%s", b.host.Scheme, b.host.Host, strings.TrimSuffix(b.host.Path, "/"), b.repository, b.digest)
	for try := range 2 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		req.Header.Set("User-Agent", "berth")
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+int64(len(p))-1))
		if err := b.host.Authorizer.Authorize(ctx, req); err != nil {
			return err
		}
		resp, err := b.host.Client.Do(req)
		if err != nil {
			return err
		}
		if resp.StatusCode == http.StatusUnauthorized && try == 0 {
			resp.Body.Close()
			if err := b.host.Authorizer.AddResponses(ctx, []*http.Response{resp}); err != nil {
				return err
			}
			continue
		}
		return takePart(resp, p, off)
	}
	return errors.New("the registry doesn't take the credentials")
}

// takePart reads an answer that must be the part that was asked for.
func takePart(resp *http.Response, p []byte, off int64) error {
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusOK:
		return fmt.Errorf("the registry gives whole layers only")
	case resp.StatusCode != http.StatusPartialContent:
		return fmt.Errorf("unexpected status %s", resp.Status)
	}
	if want := fmt.Sprintf("bytes %d-%d/", off, off+int64(len(p))-1); !strings.HasPrefix(resp.Header.Get("Content-Range"), want) {
		return fmt.Errorf("the registry gives %q of a layer, not %q", resp.Header.Get("Content-Range"), want)
	}
	_, err := io.ReadFull(resp.Body, p)
	return err
}
