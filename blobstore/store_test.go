package blobstore

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t testing.TB, s *Store, key, body string) Object {
	t.Helper()
	blob, err := s.Stage(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.Put("b", Object{Key: key}, blob, Condition{})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func files(t testing.TB, s *Store) int {
	t.Helper()
	all, err := os.ReadDir(s.blobs())
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// What was acknowledged is there after the next start, and what nothing names is not.
func TestReopen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := s.CreateBucket(Bucket{Name: "b", Account: "1"}); err != nil {
		t.Fatal(err)
	}
	put(t, s, "k", "old")
	old, reading, err := s.Get("b", "k")
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "k", "new")
	if b, err := io.ReadAll(reading); err != nil || string(b) != "old" || old.Size != 3 {
		t.Errorf("a reader saw %q, %v", b, err)
	}
	reading.Close()
	u, err := s.CreateUpload("b", Object{Key: "up"})
	if err != nil {
		t.Fatal(err)
	}
	blob, err := s.Stage(strings.NewReader("part"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutPart("b", u.ID, 1, blob); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stage(strings.NewReader("never used")); err != nil {
		t.Fatal(err)
	}
	if n := files(t, s); n != 3 {
		t.Errorf("%d files, want those of the object, the part and the unused blob", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	defer s.Close()
	if n := files(t, s); n != 2 {
		t.Errorf("%d files after the start", n)
	}
	_, f, err := s.Get("b", "k")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, err := io.ReadAll(f); err != nil || string(b) != "new" {
		t.Errorf("read %q, %v", b, err)
	}
	if _, parts, err := s.Upload("b", u.ID); err != nil || len(parts) != 1 || parts[0].Size != 4 {
		t.Errorf("parts %+v, %v", parts, err)
	}
	if err := s.DeleteBucket("b"); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("deleted a bucket with an object: %v", err)
	}
	if err := s.Delete("b", []string{"k", "k", "none"}, Condition{}); err != nil {
		t.Error(err)
	}
	if err := s.DeleteBucket("b"); err != nil {
		t.Error(err)
	}
	if n := files(t, s); n != 0 {
		t.Errorf("%d files of nothing", n)
	}
}

// An error of the source leaves nothing.
func TestBrokenSource(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	broken := errors.New("broken")
	if _, err := s.Stage(io.MultiReader(strings.NewReader("half"), readerOf{broken})); !errors.Is(err, broken) {
		t.Errorf("staged: %v", err)
	}
	if n := files(t, s); n != 0 {
		t.Errorf("%d files", n)
	}
}

type readerOf struct{ err error }

func (r readerOf) Read([]byte) (int, error) { return 0, r.err }

// Pages of any size, put together, are the list that a plain walk of the keys gives.
func TestListProperty(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	if _, err := s.CreateBucket(Bucket{Name: "b"}); err != nil {
		t.Fatal(err)
	}
	key := rapid.StringMatching(`[ab/\x{ff}\x{10ffff}]{1,6}`)
	var keys []string
	rapid.Check(t, func(rt *rapid.T) {
		if k := key.Draw(rt, "key"); !slices.Contains(keys, k) && len(keys) < 60 {
			put(t, s, k, "")
			keys = append(keys, k)
		}
		slices.Sort(keys)
		prefix := rapid.SampledFrom([]string{"", "a", "a/", "/", "b/a"}).Draw(rt, "prefix")
		delimiter := rapid.SampledFrom([]string{"", "/", "ab"}).Draw(rt, "delimiter")
		limit := rapid.IntRange(1, 5).Draw(rt, "limit")
		var want []string
		for _, k := range keys {
			if !strings.HasPrefix(k, prefix) {
				continue
			}
			name := k
			if i := strings.Index(k[len(prefix):], delimiter); delimiter != "" && i >= 0 {
				name = k[:len(prefix)+i+len(delimiter)]
			}
			if !slices.Contains(want, name) {
				want = append(want, name)
			}
		}
		var got []string
		for start, more := "", true; more; {
			var items []Item
			var err error
			if items, more, err = s.List("b", prefix, delimiter, start, limit); err != nil {
				rt.Fatal(err)
			}
			if len(items) > limit || more && len(items) != limit {
				rt.Fatalf("a page of %d of %d", len(items), limit)
			}
			for _, i := range items {
				start = i.Name()
				got = append(got, start)
			}
		}
		if !slices.Equal(got, want) {
			rt.Fatalf("prefix %q, delimiter %q, pages of %d:\ngot  %q\nwant %q", prefix, delimiter, limit, got, want)
		}
	})
}
