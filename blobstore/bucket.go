package blobstore

import (
	"encoding/json"
	"time"
)

// Bucket is a bucket. Names are unique among all accounts.
type Bucket struct {
	Name    string
	Account string
	Region  string
	Created time.Time
}

// CreateBucket makes a bucket, now. If there is one, it returns that with ErrBucketExists.
func (s *Store) CreateBucket(b Bucket) (Bucket, error) {
	if err := s.room(); err != nil {
		return b, err
	}
	err := s.update(func(c *change) error {
		var old Bucket
		if there, err := s.get(bucketKey(b.Name), &old); there || err != nil {
			b = old
			if err == nil {
				err = ErrBucketExists
			}
			return err
		}
		b.Created = s.now().UTC()
		c.set(bucketKey(b.Name), b)
		return nil
	})
	return b, err
}

// Bucket returns a bucket, or ErrNoBucket.
func (s *Store) Bucket(name string) (Bucket, error) {
	var b Bucket
	there, err := s.get(bucketKey(name), &b)
	if err == nil && !there {
		err = ErrNoBucket
	}
	return b, err
}

// Buckets returns the buckets of an account, by name.
func (s *Store) Buckets(account string) ([]Bucket, error) {
	var all []Bucket
	err := s.scan("b", func(_ string, value []byte) error {
		var b Bucket
		if err := json.Unmarshal(value, &b); err != nil {
			return err
		}
		if b.Account == account {
			all = append(all, b)
		}
		return nil
	})
	return all, err
}

// DeleteBucket deletes a bucket that has no objects, and its unfinished uploads. The
// error may be ErrNoBucket or ErrNotEmpty.
func (s *Store) DeleteBucket(name string) error {
	return s.update(func(c *change) error {
		if _, err := s.Bucket(name); err != nil {
			return err
		}
		if err := s.scan(objectKey(name, ""), func(string, []byte) error { return ErrNotEmpty }); err != nil {
			return err
		}
		c.delete(bucketKey(name))
		return s.scan(uploadKey(name, ""), func(key string, _ []byte) error {
			return s.dropUpload(c, name, cut(key, uploadKey(name, "")))
		})
	})
}
