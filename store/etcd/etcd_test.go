package etcd

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/store/storetest"
)

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	key := state.Scope{Account: "1", Region: "r"}.Key("f")
	for i := range int32(3) {
		began := time.Now()
		b, err := Open(t.Context(), Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("ready after %v", time.Since(began))
		f, ok := store.Families.Get(s.View(), key)
		if ok != (i > 0) || ok && f.LastRevision != i-1 {
			t.Fatalf("start %d finds %+v", i, f)
		}
		for n := range 1000 {
			if err := s.Update(context.Background(), func(tx *store.Tx) error {
				store.Families.Put(tx, &state.Family{Scope: key.Scope, Name: key.ID, LastRevision: i})
				return nil
			}); err != nil {
				t.Fatalf("write %d: %v", n, err)
			}
		}
		t.Logf("1000 writes after %v", time.Since(began))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func engine(t *testing.T) store.Backend {
	t.Helper()
	b, err := Open(t.Context(), Config{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestBackend(t *testing.T) { storetest.Backend(t, engine) }
