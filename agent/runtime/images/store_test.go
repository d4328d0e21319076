package images

import (
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// Files of a snapshot that no record knows, as a process leaves them that is
// killed while it makes or removes one, are removed by the next process.
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
	snapshots := filepath.Join(dir, s.snapKey, "snapshots")
	// One killed while it makes a snapshot leaves a directory whose number was not
	// noted as given.
	for n := range 20 {
		if err := os.MkdirAll(filepath.Join(snapshots, strconv.Itoa(n), "fs", "file"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s = open()
	defer s.Close()
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
