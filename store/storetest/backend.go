// Package storetest has the suites that the store's engines must pass, and the
// store over each of them. An engine's tests call Backend and Store.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/berth/berth/store"
)

const dir = "/berth/v1/1/r/test/thing/"

// patience bounds waits for what should come at once.
const patience = 30 * time.Second

// commit is one call of a watch.
type commit struct {
	rev     int64
	changes []store.Change
}

// Backend tests an engine. open returns an empty one, and closes it after the
// test.
func Backend(t *testing.T, open func(t *testing.T) store.Backend) {
	t.Run("Load", func(t *testing.T) { testLoad(t, open(t)) })
	t.Run("Guards", func(t *testing.T) { testGuards(t, open(t)) })
	t.Run("Watch", func(t *testing.T) { testWatch(t, open(t)) })
	t.Run("Race", func(t *testing.T) { testRace(t, open(t)) })
	t.Run("Large", func(t *testing.T) { testLarge(t, open(t)) })
}

func load(t *testing.T, b store.Backend) (pairs map[string]string, revs map[string]int64, rev int64) {
	t.Helper()
	pairs, revs = map[string]string{}, map[string]int64{}
	rev, err := b.Load(t.Context(), func(path string, value []byte, rev int64) error {
		if _, twice := pairs[path]; twice {
			t.Errorf("Load gave %s twice", path)
		}
		pairs[path], revs[path] = string(value), rev
		return nil
	})
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return pairs, revs, rev
}

func put(name, value string) store.Op { return store.Op{Path: dir + name, Value: []byte(value)} }
func del(name string) store.Op        { return store.Op{Path: dir + name} }

func mustCommit(t *testing.T, b store.Backend, guards []store.Guard, ops ...store.Op) int64 {
	t.Helper()
	rev, err := b.Commit(t.Context(), guards, ops)
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return rev
}

func testLoad(t *testing.T, b store.Backend) {
	if pairs, _, _ := load(t, b); len(pairs) != 0 {
		t.Fatalf("a new engine has %v", pairs)
	}
	first := mustCommit(t, b, nil, put("a", "1"), put("b", "2"), put("c", ""))
	second := mustCommit(t, b, nil, put("a", "3"), del("b"), del("never"))
	if second != first+1 {
		t.Errorf("the revision after %d is %d", first, second)
	}
	pairs, revs, rev := load(t, b)
	if want := map[string]string{dir + "a": "3", dir + "c": ""}; !maps.Equal(pairs, want) {
		t.Errorf("Load gave %v, want %v", pairs, want)
	}
	if want := map[string]int64{dir + "a": second, dir + "c": first}; !maps.Equal(revs, want) {
		t.Errorf("Load gave the revisions %v, want %v", revs, want)
	}
	if rev != second {
		t.Errorf("Load is of revision %d, want %d", rev, second)
	}
	boom := errors.New("boom")
	if _, err := b.Load(t.Context(), func(string, []byte, int64) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("Load returned %v for each's error", err)
	}
}

func testGuards(t *testing.T, b store.Backend) {
	rev := mustCommit(t, b, []store.Guard{{Path: dir + "a"}}, put("a", "1"))
	later := mustCommit(t, b, nil, put("b", "1"))
	for _, c := range []struct {
		name   string
		guards []store.Guard
		holds  bool
	}{
		{"absent, and is there", []store.Guard{{Path: dir + "a"}}, false},
		{"there, and is absent", []store.Guard{{Path: dir + "x", Rev: rev}}, false},
		{"an older revision", []store.Guard{{Path: dir + "b", Rev: rev}}, false},
		{"a newer revision", []store.Guard{{Path: dir + "a", Rev: later}}, false},
		{"one of two", []store.Guard{{Path: dir + "a", Rev: rev}, {Path: dir + "b"}}, false},
		{"all", []store.Guard{{Path: dir + "a", Rev: rev}, {Path: dir + "b", Rev: later}, {Path: dir + "x"}}, true},
	} {
		_, err := b.Commit(t.Context(), c.guards, []store.Op{put("out", c.name), del("b")})
		if c.holds != (err == nil) || err != nil && !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: Commit returned %v", c.name, err)
		}
		pairs, _, _ := load(t, b)
		_, out := pairs[dir+"out"]
		_, kept := pairs[dir+"b"]
		if out != c.holds || kept == c.holds {
			t.Errorf("%s: the engine then has %v", c.name, pairs)
		}
	}
	// A path that was deleted is as one that never was.
	mustCommit(t, b, []store.Guard{{Path: dir + "b"}}, put("b", "again"))
}

// follow starts a watch after rev and returns its commits, until the test ends.
func follow(t *testing.T, b store.Backend, rev int64) <-chan commit {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	commits, ended := make(chan commit, 10000), make(chan error, 1)
	go func() {
		ended <- b.Watch(ctx, rev, func(rev int64, changes []store.Change) {
			commits <- commit{rev, slices.Clone(changes)}
		})
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("Watch goes on after its context ended")
		}
	})
	return commits
}

func next(t *testing.T, commits <-chan commit) commit {
	t.Helper()
	select {
	case c := <-commits:
		return c
	case <-time.After(patience):
		t.Fatal("the watch shows nothing")
		panic("unreachable")
	}
}

func sameChanges(got, want []store.Change) bool {
	return slices.EqualFunc(got, want, func(a, b store.Change) bool {
		return a.Path == b.Path && bytes.Equal(a.Value, b.Value) && (a.Value == nil) == (b.Value == nil)
	})
}

func testWatch(t *testing.T, b store.Backend) {
	before := mustCommit(t, b, nil, put("before", "1"))
	early := follow(t, b, before)
	var want []commit
	for i := range 20 {
		ops := []store.Op{put(fmt.Sprint("z", i), "v"), put("a", fmt.Sprint(i)), put("m", "x")}
		if i > 0 {
			ops = append(ops, del(fmt.Sprint("z", i-1)))
		}
		want = append(want, commit{mustCommit(t, b, nil, ops...), ops})
	}
	// One that begins late sees the same: nothing is lost in between.
	for name, commits := range map[string]<-chan commit{"early": early, "late": follow(t, b, before), "middle": follow(t, b, want[9].rev)} {
		from := 0
		if name == "middle" {
			from = 10
		}
		for _, w := range want[from:] {
			if got := next(t, commits); got.rev != w.rev || !sameChanges(got.changes, w.changes) {
				t.Fatalf("%s: the watch shows %v, want %v", name, got, w)
			}
		}
	}
}

// Of many that guard the same revision one wins, and the watch shows each winner
// once.
func testRace(t *testing.T, b store.Backend) {
	_, _, rev := load(t, b)
	commits := follow(t, b, rev)
	const rounds, width = 20, 8
	var last int64
	for range rounds {
		var mu sync.Mutex
		var won []int64
		var wg sync.WaitGroup
		for range width {
			wg.Go(func() {
				rev, err := b.Commit(t.Context(), []store.Guard{{Path: dir + "a", Rev: last}}, []store.Op{put("a", "x")})
				if err == nil {
					mu.Lock()
					won = append(won, rev)
					mu.Unlock()
				} else if !errors.Is(err, store.ErrConflict) {
					t.Errorf("Commit: %v", err)
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("%d of %d won", len(won), width)
		}
		last = won[0]
		if got := next(t, commits); got.rev != last {
			t.Fatalf("the watch shows revision %d, want %d", got.rev, last)
		}
	}
}

// The largest request that a store makes is taken: see store's txWrites,
// batchOps and their kin.
func testLarge(t *testing.T, b store.Backend) {
	_, _, rev := load(t, b)
	commits := follow(t, b, rev)
	var ops []store.Op
	for i := range 2048 + 4096 + 20 {
		ops = append(ops, put(fmt.Sprintf("large/%06d", i), string(bytes.Repeat([]byte{'x'}, 700))))
	}
	var guards []store.Guard
	for i := range 4096 + 8192 {
		guards = append(guards, store.Guard{Path: fmt.Sprintf("%slarge/%06d", dir, i)})
	}
	rev = mustCommit(t, b, guards, ops...)
	if got := next(t, commits); got.rev != rev || !sameChanges(got.changes, ops) {
		t.Errorf("the watch shows %d changes at %d, want %d at %d", len(got.changes), got.rev, len(ops), rev)
	}
	if pairs, _, _ := load(t, b); len(pairs) != len(ops) {
		t.Errorf("Load gives %d pairs, want %d", len(pairs), len(ops))
	}
}
