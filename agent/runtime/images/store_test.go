package images

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Files of a snapshot that no record knows, as a process leaves them that is
// killed while it removes one, are removed by the next process.
func TestForgottenSnapshot(t *testing.T) {
	dir := t.TempDir()
	open := func() *Store {
		t.Helper()
		s, err := Open(t.Context(), dir, Registries{}, slog.New(slog.NewTextHandler(t.Output(), nil)))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	if _, err := s.raw.Prepare(ns(t.Context()), namespace+"/99/forgotten", ""); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	defer s.Close()
	snapshots := filepath.Join(dir, s.snapKey, "snapshots")
	var left []os.DirEntry
	deadline := time.After(10 * time.Second)
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		var err error
		if left, err = os.ReadDir(snapshots); err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("snapshots left: %v", left)
		}
	}
}
