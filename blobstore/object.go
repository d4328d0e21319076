package blobstore

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/berth/berth/internal/id"
	"github.com/berth/berth/internal/wholefile"
)

// Object is what is known of an object.
type Object struct {
	Key      string
	Blob     string // the file
	Size     int64  // bytes
	ETag     string // hexadecimal MD5, or of an upload in parts "<hex>-<parts>"; without quotes
	Modified time.Time
	// Headers are what S3 gives back with the object: Content-Type and others, by names
	// that are the caller's.
	Headers map[string]string `json:",omitempty"`
	// Meta are the user's own headers, by name in lower case.
	Meta map[string]string `json:",omitempty"`
}

// Blob is a file that nothing names yet.
type Blob struct {
	id   string
	Size int64
	MD5  []byte
}

// Stage writes what r has to a file, to the disk. An error of r is returned as it is.
// The blob is used by Put or PutPart, or dropped by Drop.
func (s *Store) Stage(r io.Reader) (*Blob, error) {
	if err := s.room(); err != nil {
		return nil, err
	}
	b := &Blob{id: id.UUID()}
	f, err := os.OpenFile(s.path(b.id), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make a file for an object: %w", err)
	}
	digest := md5.New()
	b.Size, err = io.Copy(io.MultiWriter(&roomy{File: f, store: s}, digest), r)
	b.MD5 = digest.Sum(nil)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = wholefile.SyncDir(s.blobs())
	}
	if err != nil {
		s.Drop(b)
		return nil, err
	}
	return b, nil
}

// roomy is a file that is no longer written once the disk is nearly full: the other
// stores on it don't survive a write that fails.
type roomy struct {
	*os.File
	store *Store
	since int64 // bytes since the disk was asked
}

func (r *roomy) Write(b []byte) (int, error) {
	if r.since += int64(len(b)); r.since >= reserve/4 {
		if err := r.store.room(); err != nil {
			return 0, err
		}
		r.since = 0
	}
	return r.File.Write(b)
}

// Drop removes a blob that was not used.
func (s *Store) Drop(b *Blob) {
	// A file that stays is removed by the next start.
	_ = os.Remove(s.path(b.id))
}

// Condition is what must be true of an object for a write; the zero one is always met.
type Condition struct {
	Absent bool   // there is none
	ETag   string // there is one of this ETag
}

func (c Condition) check(old *Object) error {
	switch {
	case c.Absent && old != nil, c.ETag != "" && (old == nil || old.ETag != c.ETag):
		return ErrCondition
	}
	return nil
}

// Put makes or replaces the object of o's key, with the bytes of blob, which it takes: on
// an error they are gone. ETag may be empty for the digest's. The error may be
// ErrNoBucket or ErrCondition.
func (s *Store) Put(bucket string, o Object, blob *Blob, cond Condition) (Object, error) {
	err := s.update(func(c *change) error { return s.put(c, bucket, &o, blob, cond) })
	if err != nil {
		s.Drop(blob)
	}
	return o, err
}

func (s *Store) put(c *change, bucket string, o *Object, blob *Blob, cond Condition) error {
	if _, err := s.Bucket(bucket); err != nil {
		return err
	}
	var old *Object
	if x, err := s.Head(bucket, o.Key); err == nil {
		old = &x
		c.gone = append(c.gone, x.Blob)
	} else if !errors.Is(err, ErrNoObject) {
		return err
	}
	if err := cond.check(old); err != nil {
		return err
	}
	o.Blob, o.Size, o.Modified = blob.id, blob.Size, s.now().UTC()
	if o.ETag == "" {
		o.ETag = hex.EncodeToString(blob.MD5)
	}
	c.set(objectKey(bucket, o.Key), o)
	return nil
}

// Head returns what is known of an object. The error may be ErrNoBucket or ErrNoObject.
func (s *Store) Head(bucket, key string) (Object, error) {
	var o Object
	there, err := s.get(objectKey(bucket, key), &o)
	if err == nil && !there {
		if _, err = s.Bucket(bucket); err == nil {
			err = ErrNoObject
		}
	}
	return o, err
}

// Get opens an object. The caller closes the file.
func (s *Store) Get(bucket, key string) (Object, *os.File, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, err := s.Head(bucket, key)
	if err != nil {
		return o, nil, err
	}
	f, err := os.Open(s.path(o.Blob))
	if err != nil {
		return o, nil, fmt.Errorf("open the file of object %s of bucket %s: %w", key, bucket, err)
	}
	return o, f, nil
}

// Delete deletes objects, all in one write. Those that are not there are left out. The
// error may be ErrNoBucket, or ErrCondition if an object that is there is not as cond says.
func (s *Store) Delete(bucket string, keys []string, cond Condition) error {
	return s.update(func(c *change) error {
		if _, err := s.Bucket(bucket); err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, key := range keys {
			o, err := s.Head(bucket, key)
			if errors.Is(err, ErrNoObject) || seen[key] {
				continue
			}
			if err == nil {
				err = cond.check(&o)
			}
			if err != nil {
				return err
			}
			seen[key] = true
			c.delete(objectKey(bucket, key))
			c.gone = append(c.gone, o.Blob)
		}
		return nil
	})
}

// Item is an entry of a list: an object, or a prefix that several have in common.
type Item struct {
	Prefix string // of keys, up to and with the delimiter; empty for an object
	Object
}

// Name is the item's place in the order of lists.
func (i Item) Name() string {
	if i.Prefix != "" {
		return i.Prefix
	}
	return i.Key
}

// List returns the objects whose keys begin with prefix and are greater than start, in the
// order of their bytes, at most limit of them; with a delimiter, those that have it after the
// prefix are one item. More says that others follow: give the last item's name as start.
// The error may be ErrNoBucket.
func (s *Store) List(bucket, prefix, delimiter, start string, limit int) (items []Item, more bool, err error) {
	if _, err := s.Bucket(bucket); err != nil {
		return nil, false, err
	}
	own := objectKey(bucket, "")
	it, err := s.db.NewIter(iteratorOf(own + prefix))
	if err != nil {
		return nil, false, fmt.Errorf("list the index of objects: %w", err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	ok := it.SeekGE([]byte(own + max(prefix, start)))
	for ok {
		key := cut(string(it.Key()), own)
		if key <= start && start != "" {
			ok = it.Next()
			continue
		}
		if delimiter != "" {
			if at := strings.Index(key[len(prefix):], delimiter); at >= 0 {
				common := key[:len(prefix)+at+len(delimiter)]
				if common != start {
					if len(items) == limit {
						return items, true, nil
					}
					items = append(items, Item{Prefix: common})
				}
				ok = seekPast(it, own+common)
				continue
			}
		}
		if len(items) == limit {
			return items, true, nil
		}
		item := Item{}
		if err := json.Unmarshal(it.Value(), &item.Object); err != nil {
			return nil, false, fmt.Errorf("read the index of objects: %w", err)
		}
		items = append(items, item)
		ok = it.Next()
	}
	return items, false, nil
}

func seekPast(it *pebble.Iterator, prefix string) bool {
	next := after(prefix)
	return next != nil && it.SeekGE(next)
}
