package s3

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/berth/berth/blobstore"
	"github.com/berth/berth/internal/disk"
	"github.com/berth/berth/internal/id"
)

// Spool takes objects of the platform's own that come bit by bit. Until one is
// whole it is a file of the spool's: a line of JSON that says where it goes, and its
// bytes so far. If the process ends first, the next one stores what there is.
type Spool struct {
	store *blobstore.Store
	dir   string
	log   *slog.Logger
}

// spooled is the first line of a file.
type spooled struct{ Account, Bucket, Key string }

// OpenSpool stores what an earlier process left in dir, which is made if need be.
func OpenSpool(s *blobstore.Store, dir string, log *slog.Logger) (*Spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of unfinished objects: %w", err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("look for unfinished objects: %w", err)
	}
	p := &Spool{store: s, dir: dir, log: log}
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		if err := p.keep(path); err != nil {
			// Its bucket was deleted, or the host went down while the first line was
			// written: there is nowhere to put it.
			log.Error("an object that an earlier process has begun can't be stored and is dropped", "file", path, "err", err)
			if err := os.Remove(path); err != nil {
				return nil, fmt.Errorf("drop an unfinished object: %w", err)
			}
		}
	}
	return p, nil
}

// Check says why an account can't put objects into a bucket, as S3 says it.
func (p *Spool) Check(account, bucket string) error {
	b, err := p.store.Bucket(bucket)
	if err != nil {
		return spoken(translate(err), 404)
	}
	if b.Account != account {
		return spoken(fail("AccessDenied", "Access Denied"), 403)
	}
	return nil
}

// Begin begins an object, which is there when the writer was closed.
func (p *Spool) Begin(account, bucket, key string) (io.WriteCloser, error) {
	if err := p.Check(account, bucket); err != nil {
		return nil, err
	}
	first, err := json.Marshal(spooled{account, bucket, key})
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(p.dir, id.UUID()), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("begin object %s of bucket %s: %w", key, bucket, err)
	}
	if _, err := f.Write(append(first, '\n')); err != nil {
		return nil, errors.Join(fmt.Errorf("begin object %s of bucket %s: %w", key, bucket, err), f.Close(), os.Remove(f.Name()))
	}
	return &spooling{p: p, file: f}, nil
}

// spooling is an object on its way.
type spooling struct {
	p     *Spool
	file  *os.File
	mu    sync.Mutex
	since int // bytes since the disk was asked for room
}

// spoolReserve is what the spool leaves free of the disk, in bytes.
const spoolReserve = 64 << 20

func (s *spooling) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since += len(b); s.since > 1<<20 {
		if err := disk.Room(s.p.dir, spoolReserve); err != nil {
			return 0, err
		}
		s.since = 0
	}
	return s.file.Write(b)
}

// Close stores the object. If that fails the next process tries again.
func (s *spooling) Close() error {
	if err := s.file.Close(); err != nil {
		return err
	}
	return s.p.keep(s.file.Name())
}

// keep stores a file's object and removes the file.
func (p *Spool) keep(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	first, err := r.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	var to spooled
	if err := json.Unmarshal(first, &to); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if err := p.Check(to.Account, to.Bucket); err != nil {
		return err
	}
	blob, err := p.store.Stage(r)
	if err != nil {
		return fmt.Errorf("store object %s of bucket %s: %w", to.Key, to.Bucket, err)
	}
	o := blobstore.Object{Key: to.Key, Headers: map[string]string{contentType: "text/plain"}}
	if _, err := p.store.Put(to.Bucket, o, blob, blobstore.Condition{}); err != nil {
		return fmt.Errorf("store object %s of bucket %s: %w", to.Key, to.Bucket, err)
	}
	return os.Remove(path)
}
