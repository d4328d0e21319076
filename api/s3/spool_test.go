package s3

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth/berth/blobstore"
)

func TestSpool(t *testing.T) {
	store := open(t, t.TempDir())
	t.Cleanup(func() { store.Close() })
	for _, name := range []string{"box", "gone"} {
		if _, err := store.CreateBucket(blobstore.Bucket{Name: name, Account: "me"}); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "spool")
	opened := func() *Spool {
		t.Helper()
		p, err := OpenSpool(store, dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	content := func(key string) string {
		t.Helper()
		_, f, err := store.Get("box", key)
		if err != nil {
			return err.Error()
		}
		defer f.Close()
		b, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	p := opened()
	for want, c := range map[string][2]string{"NoSuchBucket": {"me", "none"}, "AccessDenied": {"you", "box"}} {
		if _, err := p.Begin(c[0], c[1], "k"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Begin in %v: %v", c, err)
		}
	}
	begin := func(bucket, key, text string) io.WriteCloser {
		t.Helper()
		w, err := p.Begin("me", bucket, key)
		if err == nil {
			_, err = io.WriteString(w, text)
		}
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	w := begin("box", "a/whole", "one\ntwo")
	if got := content("a/whole"); got == "one\ntwo" {
		t.Error("the object is there before its end")
	}
	if err := w.Close(); err != nil || content("a/whole") != "one\ntwo" {
		t.Errorf("closed: %v, %q", err, content("a/whole"))
	}
	// What the process leaves unfinished the next one stores; without its bucket, or
	// cut off in its first line, it is dropped.
	begin("box", "cut", "so far")
	begin("gone", "lost", "x")
	if err := errors.Join(store.DeleteBucket("gone"), os.WriteFile(filepath.Join(dir, "torn"), []byte(`{"Account":"me"`), 0o600)); err != nil {
		t.Fatal(err)
	}
	opened()
	if got := content("cut"); got != "so far" {
		t.Errorf("after the process's end: %q", got)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
