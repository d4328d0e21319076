package blobstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/berth/berth/internal/disk"
)

// What an operation may find wrong.
var (
	ErrNoBucket     = errors.New("bucket does not exist")
	ErrBucketExists = errors.New("bucket already exists")
	ErrNotEmpty     = errors.New("bucket is not empty")
	ErrNoObject     = errors.New("object does not exist")
	ErrNoUpload     = errors.New("upload does not exist")
	ErrNoPart       = errors.New("part does not exist")
	ErrCondition    = errors.New("object is not as the condition says")
)

// reserve is how many bytes must be free on the disk for a write.
const reserve = 64 << 20

// Store is an open store of objects. Its methods may be called by many goroutines.
type Store struct {
	dir string
	db  *pebble.DB
	now func() time.Time

	// mu makes writes of the index one by one, and keeps the file of an object from
	// going between finding and opening it.
	mu sync.RWMutex
}

// Open opens or makes the store in dir, and removes the files that nothing names.
func Open(dir string, now func() time.Time) (*Store, error) {
	s := &Store{dir: dir, now: now}
	if err := os.MkdirAll(s.blobs(), 0o700); err != nil {
		return nil, err
	}
	cache := pebble.NewCache(4 << 20)
	defer cache.Unref()
	db, err := pebble.Open(filepath.Join(dir, "index"), &pebble.Options{
		FormatMajorVersion: pebble.FormatNewest, Cache: cache, MemTableSize: 4 << 20, Logger: quiet{},
	})
	if err != nil {
		return nil, fmt.Errorf("open the index of objects in %s: %w", dir, err)
	}
	s.db = db
	if err := s.sweep(); err != nil {
		return nil, errors.Join(fmt.Errorf("remove files in %s that no object has: %w", s.blobs(), err), db.Close())
	}
	return s, nil
}

// quiet drops Pebble's notes; its errors come back from its calls, but for those
// after which it can't go on.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf("index of objects: "+format, args...))
}

// Close ends the store. Objects that are being read may be read to their end.
func (s *Store) Close() error { return s.db.Close() }

func (s *Store) blobs() string { return filepath.Join(s.dir, "blobs") }

func (s *Store) path(blob string) string { return filepath.Join(s.blobs(), blob) }

// sweep removes the files that nothing names.
func (s *Store) sweep() error {
	named := map[string]bool{}
	for _, kind := range []string{"o", "p"} {
		err := s.scan(kind, func(_ string, value []byte) error {
			var x struct{ Blob string }
			err := json.Unmarshal(value, &x)
			named[x.Blob] = true
			return err
		})
		if err != nil {
			return err
		}
	}
	files, err := os.ReadDir(s.blobs())
	if err != nil {
		return err
	}
	for _, f := range files {
		if !named[f.Name()] {
			if err := os.Remove(s.path(f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// The keys of the index: a kind, and names that end with a zero byte.
func bucketKey(bucket string) string         { return "b" + bucket }
func objectKey(bucket, key string) string    { return "o" + bucket + "\x00" + key }
func uploadKey(bucket, id string) string     { return "u" + bucket + "\x00" + id }
func partKey(id string, number int32) string { return fmt.Sprintf("p%s\x00%05d", id, number) }
func partPrefix(id string) string            { return "p" + id + "\x00" }
func cut(key, prefix string) string          { return key[len(prefix):] }
func (s *Store) room() error                 { return disk.Room(s.dir, reserve) }
func iteratorOf(prefix string) *pebble.IterOptions {
	return &pebble.IterOptions{LowerBound: []byte(prefix), UpperBound: after(prefix)}
}

// after is the first key that is greater than all with the prefix; nil if there is none.
func after(prefix string) []byte {
	b := []byte(prefix)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] < 0xff {
			b[i]++
			return b[:i+1]
		}
	}
	return nil
}

// get reads a record. It reports false where there is none.
func (s *Store) get(key string, v any) (bool, error) {
	b, closer, err := s.db.Get([]byte(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the index of objects: %w", err)
	}
	err = json.Unmarshal(b, v)
	return true, errors.Join(err, closer.Close())
}

// scan calls f for each record with the prefix, in order.
func (s *Store) scan(prefix string, f func(key string, value []byte) error) error {
	it, err := s.db.NewIter(iteratorOf(prefix))
	if err != nil {
		return err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		err = f(string(it.Key()), it.Value())
	}
	return errors.Join(err, it.Close())
}

// change is one atomic write of the index.
type change struct {
	batch *pebble.Batch
	errs  []error
	gone  []string // blobs that nothing names afterwards
}

func (c *change) set(key string, v any) {
	b, err := json.Marshal(v)
	c.errs = append(c.errs, err, c.batch.Set([]byte(key), b, nil))
}

func (c *change) delete(key string) { c.errs = append(c.errs, c.batch.Delete([]byte(key), nil)) }

// update runs f alone, and makes what it asked for durable. Then it removes the blobs
// that are gone.
func (s *Store) update(f func(c *change) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &change{batch: s.db.NewBatch()}
	defer c.batch.Close()
	if err := f(c); err != nil {
		return err
	}
	if err := errors.Join(c.errs...); err != nil {
		return fmt.Errorf("write the index of objects: %w", err)
	}
	if err := c.batch.Commit(pebble.Sync); err != nil {
		return fmt.Errorf("write the index of objects: %w", err)
	}
	for _, b := range c.gone {
		// A file that stays is removed by the next start.
		_ = os.Remove(s.path(b))
	}
	return nil
}
