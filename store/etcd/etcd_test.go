package etcd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.uber.org/zap"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/store/storetest"
)

func config(dir string) Config { return Config{Dir: dir, Log: slog.New(slog.DiscardHandler)} }

func engine(t *testing.T) store.Backend {
	t.Helper()
	b, err := Open(t.Context(), config(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestBackend(t *testing.T) { storetest.Backend(t, engine) }
func TestStore(t *testing.T)   { storetest.Store(t, engine) }
func TestSerial(t *testing.T)  { storetest.Serial(t, engine) }

var scope = state.Scope{Account: "1", Region: "r"}

func write(s *store.Store, name string, n int32) error {
	return s.Update(context.Background(), func(tx *store.Tx) error {
		store.Families.Put(tx, &state.Family{Scope: scope, Name: name, LastRevision: n})
		return nil
	})
}

func openStore(t *testing.T, dir string) *store.Store {
	t.Helper()
	b, err := Open(t.Context(), config(dir))
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	for i := range int32(3) {
		began := time.Now()
		s := openStore(t, dir)
		t.Logf("ready after %v", time.Since(began))
		f, ok := store.Families.Get(s.View(), scope.Key("f"))
		if ok != (i > 0) || ok && f.LastRevision != i-1 {
			t.Fatalf("start %d finds %+v", i, f)
		}
		if err := write(s, "f", i); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	began := time.Now()
	_, err := Open(t.Context(), config(dir))
	if err == nil || !strings.Contains(err.Error(), "another process is using it") || !strings.Contains(err.Error(), dir) {
		t.Errorf("a second Open returned %v", err)
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("it took %v to refuse", d)
	}
	if err := write(s, "f", 1); err != nil {
		t.Errorf("after the refusal, the first can't write: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	openStore(t, dir).Close()
}

// Writing the same record for ever keeps neither its old versions nor the file
// growing.
func TestCompact(t *testing.T) {
	b := engine(t).(*Backend)
	const writes = 3 * (keep + compactEvery)
	value := []byte(strings.Repeat("x", 2000))
	var last atomic.Int64
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for range writes / 10 {
				rev, err := b.Commit(t.Context(), nil, []store.Op{{Path: prefix + "-/-/test/thing/a", Value: value}})
				if err != nil {
					t.Error(err)
					return
				}
				last.Store(rev)
			}
		})
	}
	wg.Wait()
	rev := last.Load()
	b.behind.Wait()
	if _, err := b.client.Get(t.Context(), prefix, clientv3.WithRev(rev-2*compactEvery-keep)); err == nil {
		t.Error("old revisions are still there")
	}
	if _, err := b.client.Get(t.Context(), prefix, clientv3.WithRev(rev-keep)); err != nil {
		t.Errorf("a watch that lags a little would miss something: %v", err)
	}
	if size := b.server.Server.Backend().Size(); size > writes*int64(len(value))*3/4 {
		t.Errorf("the file has %d bytes for one record", size)
	}
}

// A store that was full takes writes again once it is opened with room.
func TestFull(t *testing.T) {
	dir := t.TempDir()
	c := embedded(config(dir))
	c.QuotaBackendBytes = 4 << 20
	b, err := open(t.Context(), config(dir), c)
	if err != nil {
		t.Fatal(err)
	}
	value := []byte(strings.Repeat("x", 100_000))
	for i := 0; ; i++ {
		if _, err = b.Commit(t.Context(), nil, []store.Op{{Path: prefix + "-/-/test/thing/a", Value: value}}); err != nil {
			break
		}
		if i > 1000 {
			t.Fatal("it is never full")
		}
	}
	if !strings.Contains(err.Error(), "restart") || !strings.Contains(err.Error(), dir) {
		t.Errorf("a full store says %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, dir)
	defer s.Close()
	if err := write(s, "f", 1); err != nil {
		t.Errorf("opened anew, it says %v", err)
	}
}

// A disk that is about to be full takes nothing more, and the store goes on.
func TestDiskFull(t *testing.T) {
	b, err := Open(t.Context(), config(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	op := []store.Op{{Path: prefix + "-/-/test/thing/a", Value: []byte("x")}}
	before, err := b.Commit(t.Context(), nil, op)
	if err != nil {
		t.Fatal(err)
	}
	b.reserve = 1 << 62
	if _, err := b.Commit(t.Context(), nil, op); err == nil || errors.Is(err, store.ErrUnknown) || !strings.Contains(err.Error(), b.dir) {
		t.Errorf("without room: %v, want a refusal that names the directory", err)
	}
	b.reserve = reserve
	if after, err := b.Commit(t.Context(), nil, op); err != nil || after != before+1 {
		t.Errorf("with room again: revision %d, %v, want %d", after, err, before+1)
	}
}

// A first start that was cut off when etcd's log was made, and empty.
func TestFirstStartCutOff(t *testing.T) {
	dir := t.TempDir()
	b, err := Open(t.Context(), config(dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	// The log's first record says whose it is.
	path := filepath.Join(dir, "member", "wal")
	w, err := wal.OpenForRead(zap.NewNop(), path, &walpb.Snapshot{})
	if err != nil {
		t.Fatal(err)
	}
	whose, _, entries, err := w.ReadAll()
	if err != nil || len(entries) == 0 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	empty, err := wal.Create(zap.NewNop(), path, whose)
	if err != nil {
		t.Fatal(err)
	}
	if err := empty.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if b, err = Open(ctx, config(dir)); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(ctx, b)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(s, "f", 1); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// What has entries stays.
	s = openStore(t, dir)
	defer s.Close()
	if _, ok := store.Families.Get(s.View(), scope.Key("f")); !ok {
		t.Error("a record is gone")
	}
}

// child writes for ever, and tells what was acknowledged.
func child(dir string) {
	b, err := Open(context.Background(), config(dir))
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	s, err := store.Open(context.Background(), b)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	var mu sync.Mutex
	for w := range 8 {
		go func() {
			for n := int32(1); ; n++ {
				name := fmt.Sprint(os.Getpid(), "-", w)
				if err := write(s, name, n); err != nil {
					fmt.Println("error", err)
					os.Exit(1)
				}
				mu.Lock()
				fmt.Println("wrote", name, n)
				mu.Unlock()
			}
		}()
	}
	select {}
}

func TestMain(m *testing.M) {
	if dir := os.Getenv("BERTH_TEST_ETCD_CHILD"); dir != "" {
		child(dir)
	}
	os.Exit(m.Run())
}

// Whatever moment the process is killed at, what it acknowledged is there.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	acked := map[string]int32{}
	total := 0
	for round := range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), "BERTH_TEST_ETCD_CHILD="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := 0
		quota := 1 + rand.IntN(1500) // it is killed after so many writes, and on
		for in := bufio.NewScanner(out); in.Scan(); {
			var name string
			var n int32
			if _, err := fmt.Sscanf(in.Text(), "wrote %s %d", &name, &n); err != nil {
				// The last line may have been cut off by the kill.
				if lines < quota {
					t.Errorf("round %d: the child says %q", round, in.Text())
				}
				continue
			}
			acked[name] = n
			total++
			if lines++; lines == quota {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
		s := openStore(t, dir)
		v := s.View()
		for name, n := range acked {
			f, ok := store.Families.Get(v, scope.Key(name))
			// One more may have been written and not yet told.
			if !ok || f.LastRevision < n || f.LastRevision > n+1 {
				t.Errorf("round %d: %s is at %+v, acknowledged was %d", round, name, f, n)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d acknowledged writes, all found", total)
}

func BenchmarkStore(b *testing.B) {
	storetest.Bench(b, func(b *testing.B) store.Backend {
		e, err := Open(b.Context(), config(b.TempDir()))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { e.Close() })
		return e
	})
}
