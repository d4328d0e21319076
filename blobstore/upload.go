package blobstore

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/berth/berth/internal/id"
	"github.com/berth/berth/internal/wholefile"
)

// Upload is an object that comes in parts.
type Upload struct {
	ID      string
	Started time.Time
	Object  Object // its key, headers and metadata
}

// Part is one of an upload's parts.
type Part struct {
	Number   int32
	Blob     string
	Size     int64
	MD5      []byte
	Modified time.Time
}

// ETag is the digest in hexadecimal.
func (p Part) ETag() string { return hex.EncodeToString(p.MD5) }

// CreateUpload begins an upload of an object of o's key. The error may be ErrNoBucket.
func (s *Store) CreateUpload(bucket string, o Object) (Upload, error) {
	u := Upload{ID: id.UUID(), Started: s.now().UTC(), Object: o}
	if err := s.room(); err != nil {
		return u, err
	}
	return u, s.update(func(c *change) error {
		if _, err := s.Bucket(bucket); err != nil {
			return err
		}
		c.set(uploadKey(bucket, u.ID), u)
		return nil
	})
}

// Upload returns an upload and its parts, by number. The error may be ErrNoBucket or ErrNoUpload.
func (s *Store) Upload(bucket, uploadID string) (Upload, []Part, error) {
	var u Upload
	there, err := s.get(uploadKey(bucket, uploadID), &u)
	if err == nil && !there {
		if _, err = s.Bucket(bucket); err == nil {
			err = ErrNoUpload
		}
	}
	if err != nil {
		return u, nil, err
	}
	var parts []Part
	err = s.scan(partPrefix(uploadID), func(_ string, value []byte) error {
		var p Part
		err := json.Unmarshal(value, &p)
		parts = append(parts, p)
		return err
	})
	return u, parts, err
}

// PutPart makes or replaces a part, with the bytes of blob, which it takes. The error may be
// ErrNoBucket or ErrNoUpload.
func (s *Store) PutPart(bucket, uploadID string, number int32, blob *Blob) (Part, error) {
	p := Part{Number: number, Blob: blob.id, Size: blob.Size, MD5: blob.MD5, Modified: s.now().UTC()}
	err := s.update(func(c *change) error {
		if _, _, err := s.Upload(bucket, uploadID); err != nil {
			return err
		}
		var old Part
		there, err := s.get(partKey(uploadID, number), &old)
		if there {
			c.gone = append(c.gone, old.Blob)
		}
		c.set(partKey(uploadID, number), p)
		return err
	})
	if err != nil {
		s.Drop(blob)
	}
	return p, err
}

// Complete makes the upload's object of the given parts, which are by number, and ends the
// upload. The error may be ErrNoBucket, ErrNoUpload, ErrNoPart or ErrCondition.
func (s *Store) Complete(bucket, uploadID string, parts []Part, cond Condition) (Object, error) {
	u, _, err := s.Upload(bucket, uploadID)
	if err != nil {
		return Object{}, err
	}
	blob, err := s.concatenate(parts)
	if err != nil {
		return Object{}, err
	}
	var all []byte
	for _, p := range parts {
		all = append(all, p.MD5...)
	}
	sum := md5.Sum(all)
	o := u.Object
	o.ETag = fmt.Sprintf("%x-%d", sum, len(parts))
	err = s.update(func(c *change) error {
		_, now, err := s.Upload(bucket, uploadID)
		if err != nil {
			return err
		}
		for _, p := range parts { // none was replaced while they were put together
			i := indexOf(now, p.Number)
			if i < 0 || now[i].Blob != p.Blob {
				return ErrNoPart
			}
		}
		if err := s.put(c, bucket, &o, blob, cond); err != nil {
			return err
		}
		return s.dropUpload(c, bucket, uploadID)
	})
	if err != nil {
		s.Drop(blob)
	}
	return o, err
}

func indexOf(parts []Part, number int32) int {
	for i, p := range parts {
		if p.Number == number {
			return i
		}
	}
	return -1
}

// concatenate makes a blob of all parts.
func (s *Store) concatenate(parts []Part) (*Blob, error) {
	b := &Blob{id: id.UUID()}
	out, err := os.OpenFile(s.path(b.id), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make a file for an object: %w", err)
	}
	for _, p := range parts {
		var in *os.File
		if in, err = os.Open(s.path(p.Blob)); err != nil {
			if errors.Is(err, os.ErrNotExist) {
				err = ErrNoPart
			}
			break
		}
		if err = s.room(); err != nil {
			in.Close()
			break
		}
		n, copyErr := io.Copy(out, in) // shares the bytes where the file system can
		b.Size += n
		if err = errors.Join(copyErr, in.Close()); err != nil {
			break
		}
	}
	if err = errors.Join(err, out.Sync(), out.Close()); err == nil {
		err = wholefile.SyncDir(s.blobs())
	}
	if err != nil {
		s.Drop(b)
		return nil, err
	}
	return b, nil
}

// Abort ends an upload and drops its parts. The error may be ErrNoBucket or ErrNoUpload.
func (s *Store) Abort(bucket, uploadID string) error {
	return s.update(func(c *change) error {
		if _, _, err := s.Upload(bucket, uploadID); err != nil {
			return err
		}
		return s.dropUpload(c, bucket, uploadID)
	})
}

func (s *Store) dropUpload(c *change, bucket, uploadID string) error {
	c.delete(uploadKey(bucket, uploadID))
	return s.scan(partPrefix(uploadID), func(key string, value []byte) error {
		var p Part
		if err := json.Unmarshal(value, &p); err != nil {
			return err
		}
		c.delete(key)
		c.gone = append(c.gone, p.Blob)
		return nil
	})
}
