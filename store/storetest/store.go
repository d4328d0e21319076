package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// Store tests a store over an engine. open returns an empty engine, and closes
// it after the test.
func Store(t *testing.T, open func(t *testing.T) store.Backend) {
	t.Run("ReadYourWrites", func(t *testing.T) { testReadYourWrites(t, open(t)) })
	t.Run("FailedLeavesNothing", func(t *testing.T) { testFailed(t, open(t)) })
	t.Run("Tables", func(t *testing.T) { testTables(t, open(t)) })
	t.Run("GroupCommit", func(t *testing.T) { testGroupCommit(t, open(t)) })
	t.Run("Cancel", func(t *testing.T) { testCancel(t, open(t)) })
	t.Run("EngineRefuses", func(t *testing.T) { testEngineRefuses(t, open(t)) })
	t.Run("EngineEnds", func(t *testing.T) { testEngineEnds(t, open(t)) })
	t.Run("TooMuch", func(t *testing.T) { testTooMuch(t, open(t)) })
	t.Run("WatchFromView", func(t *testing.T) { testWatchFromView(t, open(t)) })
	t.Run("Count", func(t *testing.T) { testCount(t, open(t)) })
	t.Run("Reopen", func(t *testing.T) { testReopen(t, open(t)) })
	t.Run("Changes", func(t *testing.T) { testChanges(t, open(t)) })
	t.Run("Close", func(t *testing.T) { testClose(t, open(t)) })
}

var scope = state.Scope{Account: "123456789012", Region: "us-east-1"}

func family(name string, n int32) *state.Family {
	return &state.Family{Scope: scope, Name: name, LastRevision: n}
}

func task(id, node string, version int64) *state.Task {
	return &state.Task{Scope: scope, Cluster: "c", ID: id, Node: node, Version: version, Last: state.Running, Desired: state.Running}
}

func start(t *testing.T, b store.Backend) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), shared{b})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func update(t *testing.T, s *store.Store, fn func(tx *store.Tx)) {
	t.Helper()
	if err := s.Update(t.Context(), func(tx *store.Tx) error { fn(tx); return nil }); err != nil {
		t.Fatal(err)
	}
}

// revision is a family's last revision in a view, or -1.
func revision(v store.View, name string) int32 {
	if f, ok := store.Families.Get(v, scope.Key(name)); ok {
		return f.LastRevision
	}
	return -1
}

func testReadYourWrites(t *testing.T, b store.Backend) {
	s := start(t, b)
	before := s.View()
	update(t, s, func(tx *store.Tx) {
		store.Families.Put(tx, family("a", 1))
		if revision(tx, "a") != 1 {
			t.Error("the transaction doesn't see its own write")
		}
		store.Families.Put(tx, family("b", 1))
		store.Families.Delete(tx, scope.Key("b"))
		if revision(tx, "b") != -1 {
			t.Error("the transaction sees what it deleted")
		}
		if revision(s.View(), "a") != -1 {
			t.Error("others see what is not committed")
		}
	})
	if v := s.View(); revision(v, "a") != 1 || revision(v, "b") != -1 || v.Revision() <= before.Revision() {
		t.Error("the writes are not visible after Update")
	}
	if revision(before, "a") != -1 {
		t.Error("a snapshot changed")
	}
}

func testFailed(t *testing.T, b store.Backend) {
	s := start(t, b)
	update(t, s, func(tx *store.Tx) { store.Families.Put(tx, family("a", 1)) })
	rev := s.View().Revision()
	boom := errors.New("boom")
	for name, end := range map[string]func() error{
		"error": func() error { return boom },
		"panic": func() error { panic("ouch") },
		"exit":  func() error { runtime.Goexit(); return nil },
	} {
		err := s.Update(t.Context(), func(tx *store.Tx) error {
			store.Families.Delete(tx, scope.Key("a"))
			store.Families.Put(tx, family("b", 1))
			return end()
		})
		if err == nil || name == "error" && !errors.Is(err, boom) || name == "panic" && !strings.Contains(err.Error(), "ouch") {
			t.Errorf("%s: Update returned %v", name, err)
		}
	}
	if v := s.View(); revision(v, "a") != 1 || revision(v, "b") != -1 || v.Revision() != rev {
		t.Error("a failed transaction left something")
	}
	var kept *store.Tx
	update(t, s, func(tx *store.Tx) { kept = tx })
	defer func() {
		if recover() == nil {
			t.Error("a transaction could be used after its end")
		}
	}()
	store.Families.Put(kept, family("b", 1))
}

func testTables(t *testing.T, b store.Backend) {
	s := start(t, b)
	update(t, s, func(tx *store.Tx) {
		for i := range 10 {
			store.Tasks.Put(tx, task(fmt.Sprint(i), fmt.Sprint("n", i%2), 1))
		}
		other := task("0", "n0", 1)
		other.Account = "210987654321"
		store.Tasks.Put(tx, other)
		longer := task("0", "n00", 1)
		longer.Cluster = "cc"
		store.Tasks.Put(tx, longer)
	})
	ids := func(seq func(func(*state.Task) bool)) string {
		var ids []string
		for task := range seq {
			ids = append(ids, task.Cluster+task.ID)
		}
		return strings.Join(ids, " ")
	}
	check := func(v store.View, name, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s yields %q, want %q", name, got, want)
		}
	}
	v := s.View()
	check(v, "List", ids(store.Tasks.List(v, scope, "c/")), "c0 c1 c2 c3 c4 c5 c6 c7 c8 c9")
	check(v, "List of one", ids(store.Tasks.List(v, scope, "c/7")), "c7")
	check(v, "All", ids(store.Tasks.All(v)), "c0 c1 c2 c3 c4 c5 c6 c7 c8 c9 cc0 c0")
	check(v, "By n0", ids(store.Tasks.By(v, store.TasksByNode, "n0")), "c0 c2 c4 c6 c8 c0")
	check(v, "By n00", ids(store.Tasks.By(v, store.TasksByNode, "n00")), "cc0")
	update(t, s, func(tx *store.Tx) {
		for task := range store.Tasks.By(tx, store.TasksByNode, "n1") { // while it changes
			moved := task.Clone()
			moved.Node = "n0"
			store.Tasks.Put(tx, moved)
		}
		store.Tasks.Delete(tx, scope.Key("c/0"))
		check(tx, "By n1 in the transaction", ids(store.Tasks.By(tx, store.TasksByNode, "n1")), "")
	})
	v = s.View()
	check(v, "By n1", ids(store.Tasks.By(v, store.TasksByNode, "n1")), "")
	check(v, "By n0", ids(store.Tasks.By(v, store.TasksByNode, "n0")), "c1 c2 c3 c4 c5 c6 c7 c8 c9 c0")
}

func testGroupCommit(t *testing.T, b store.Backend) {
	g := newGated(b)
	s := start(t, g)
	var wg sync.WaitGroup
	const width = 50
	write := func(i int) {
		wg.Go(func() {
			err := s.Update(context.Background(), func(tx *store.Tx) error {
				// Each sees what the one before it in the batch wrote.
				store.Families.Put(tx, family("n", revision(tx, "n")+1))
				if i%5 == 4 {
					return errRefused
				}
				return nil
			})
			if (err != nil) != (i%5 == 4) {
				t.Errorf("update %d: %v", i, err)
			}
		})
	}
	write(0)
	<-g.begun
	for i := range width {
		write(i)
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for open := true; open; {
		select {
		case g.pass <- nil:
		case <-done:
			open = false
		}
	}
	if n := revision(s.View(), "n"); n != width*4/5 {
		t.Errorf("%d increments are there, want %d", n+1, width*4/5+1)
	}
	// How many had queued up when the first commit was let go is up to the
	// scheduler; all of them alone would take 40.
	if n := g.count.Load(); n > width*4/5 {
		t.Errorf("%d updates took %d commits", width+1, n)
	}
	before := g.count.Load()
	if err := s.Update(t.Context(), func(tx *store.Tx) error { revision(tx, "n"); return nil }); err != nil {
		t.Error(err)
	}
	if g.count.Load() != before {
		t.Error("an update that wrote nothing was committed")
	}
}

func testCancel(t *testing.T, b store.Backend) {
	g := newGated(b)
	s := start(t, g)
	first := make(chan error)
	go func() {
		first <- s.Update(context.Background(), func(tx *store.Tx) error { store.Families.Put(tx, family("a", 1)); return nil })
	}()
	<-g.begun
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error)
	ran := false
	go func() {
		second <- s.Update(ctx, func(tx *store.Tx) error { ran = true; store.Families.Put(tx, family("b", 1)); return nil })
	}()
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("the queued update returned %v", err)
	}
	g.pass <- nil
	if err := <-first; err != nil {
		t.Error(err)
	}
	// What comes after it has run behind it, if it had run.
	if err := s.Update(t.Context(), func(tx *store.Tx) error { return nil }); err != nil {
		t.Error(err)
	}
	if ran || revision(s.View(), "b") != -1 {
		t.Error("an update ran after its caller had gone")
	}
}

func testEngineRefuses(t *testing.T, b store.Backend) {
	g := newGated(b)
	s := start(t, g)
	_, w := s.ViewAndWatch()
	defer w.Close()
	put := func(n int32, answer error) error {
		done := make(chan error)
		go func() {
			done <- s.Update(context.Background(), func(tx *store.Tx) error {
				if revision(tx, "a") != -1 && n == 1 {
					return errors.New("what was refused is there")
				}
				store.Families.Put(tx, family("a", n))
				return nil
			})
		}()
		<-g.begun
		g.pass <- answer
		return <-done
	}
	if err := put(1, errRefused); !errors.Is(err, errRefused) {
		t.Errorf("Update returned %v", err)
	}
	if revision(s.View(), "a") != -1 {
		t.Error("what was refused is visible")
	}
	if err := put(1, nil); err != nil {
		t.Errorf("after a refusal Update returns %v", err)
	}
	events, err := w.Next(t.Context())
	if err != nil || len(events) != 1 || events[0].Old != nil {
		t.Errorf("the watch shows %v, %v", events, err)
	}
}

func testEngineEnds(t *testing.T, b store.Backend) {
	m := &mortal{Backend: b, die: make(chan struct{})}
	s := start(t, m)
	_, w := s.ViewAndWatch()
	update(t, s, func(tx *store.Tx) { store.Families.Put(tx, family("a", 1)) })
	close(m.die)
	<-s.Ended()
	if !errors.Is(s.Err(), errDead) {
		t.Errorf("the store ended by %v", s.Err())
	}
	if events, err := w.Next(t.Context()); err != nil || len(events) != 1 {
		t.Errorf("the watch lost what was there: %v, %v", events, err)
	}
	if _, err := w.Next(t.Context()); !errors.Is(err, errDead) {
		t.Errorf("Next returned %v", err)
	}
	if err := s.Update(t.Context(), func(*store.Tx) error { return nil }); !errors.Is(err, errDead) {
		t.Errorf("Update returned %v", err)
	}
}

// A transaction that is too large fails alone.
func testTooMuch(t *testing.T, b store.Backend) {
	s := start(t, b)
	for name, fn := range map[string]func(tx *store.Tx){
		"writes": func(tx *store.Tx) {
			for i := range 5000 {
				store.Families.Put(tx, family(fmt.Sprint(i), 1))
			}
		},
		"reads": func(tx *store.Tx) {
			for i := range 9000 {
				revision(tx, fmt.Sprint(i))
			}
			store.Families.Put(tx, family("x", 1))
		},
		"bytes": func(tx *store.Tx) {
			big := task("big", strings.Repeat("n", 5<<20), 1)
			store.Tasks.Put(tx, big)
		},
	} {
		if err := s.Update(t.Context(), func(tx *store.Tx) error { fn(tx); return nil }); err == nil || !strings.Contains(err.Error(), "do it in several") {
			t.Errorf("too many %s: Update returned %v", name, err)
		}
	}
	// The largest are fine, many at once.
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if err := s.Update(context.Background(), func(tx *store.Tx) error {
				for k := range 3000 {
					store.Families.Put(tx, family(fmt.Sprint(i, "/", k), 1))
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// A snapshot and the events after it always make up the present.
func testWatchFromView(t *testing.T, b store.Backend) {
	writer, reader := start(t, b), start(t, b)
	const writes = 60
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for i := range writes {
				update(t, writer, func(tx *store.Tx) {
					id := fmt.Sprint(w, "-", i%7)
					if i%5 == 4 {
						store.Tasks.Delete(tx, scope.Key("c/"+id))
					} else {
						store.Tasks.Put(tx, task(id, "n", int64(i)))
					}
					store.Families.Put(tx, family(fmt.Sprint("done", w), int32(i)))
				})
			}
		})
	}
	for _, s := range []*store.Store{writer, reader} {
		for range 4 {
			wg.Go(func() {
				v, w := s.ViewAndWatch(store.Tasks.Name(), store.Families.Name())
				defer w.Close()
				have := map[state.Key]int64{}
				done := map[string]int32{}
				for task := range store.Tasks.All(v) {
					have[task.Key()] = task.Version
				}
				for f := range store.Families.All(v) {
					done[f.Name] = f.LastRevision
				}
				for done["done0"]+done["done1"]+done["done2"] < 3*(writes-1) {
					events, err := w.Next(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					for _, e := range events {
						if f, ok := e.New.(*state.Family); ok {
							if f.LastRevision <= done[f.Name] && f.LastRevision != 0 {
								t.Errorf("%s went from %d to %d", f.Name, done[f.Name], f.LastRevision)
							}
							done[f.Name] = f.LastRevision
							continue
						}
						old, had := e.Old.(*state.Task)
						if v, ok := have[e.Key]; ok != had || had && v != old.Version {
							t.Errorf("event %+v after version %d, %v", e, v, ok)
						}
						delete(have, e.Key)
						if task, ok := e.New.(*state.Task); ok {
							have[e.Key] = task.Version
						}
					}
				}
				n := 0
				for task := range store.Tasks.All(s.View()) {
					n++
					if have[task.Key()] != task.Version {
						t.Errorf("%s is of version %d, events made %d", task.ID, task.Version, have[task.Key()])
					}
				}
				if n != len(have) {
					t.Errorf("there are %d tasks, events made %d", n, len(have))
				}
			})
		}
	}
	wg.Wait()
}

// Two processes over one engine: no increment is lost.
func testCount(t *testing.T, b store.Backend) {
	stores := []*store.Store{start(t, b), start(t, b)}
	const each, width = 25, 4
	var wg sync.WaitGroup
	for _, s := range stores {
		for range width {
			wg.Go(func() {
				for range each {
					update(t, s, func(tx *store.Tx) { store.Families.Put(tx, family("n", revision(tx, "n")+1)) })
				}
			})
		}
	}
	wg.Wait()
	var got []int32
	for _, s := range stores {
		update(t, s, func(tx *store.Tx) { store.Families.Put(tx, family("last", revision(tx, "n"))) })
		got = append(got, revision(s.View(), "last"))
	}
	if want := int32(each*width*2 - 1); !slices.Equal(got, []int32{want, want}) {
		t.Errorf("the stores count %v, want %d each", got, want)
	}
}

func testReopen(t *testing.T, b store.Backend) {
	s := start(t, b)
	update(t, s, func(tx *store.Tx) {
		store.Tasks.Put(tx, task("1", "n", 1))
		store.Families.Put(tx, family("a", 1))
		store.Nodes.Put(tx, &state.Node{ID: "n"})
	})
	update(t, s, func(tx *store.Tx) { store.Families.Delete(tx, scope.Key("a")) })
	rev := s.View().Revision()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s = start(t, b)
	v := s.View()
	if v.Revision() != rev || revision(v, "a") != -1 {
		t.Errorf("reopened at revision %d of %d", v.Revision(), rev)
	}
	if got, ok := store.Tasks.Get(v, scope.Key("c/1")); !ok || got.Node != "n" || got.Last != state.Running {
		t.Errorf("reopened with %+v", got)
	}
	if _, ok := store.Nodes.Get(v, state.Key{ID: "n"}); !ok {
		t.Error("a record without scope is gone")
	}
	// What it reads it can guard.
	update(t, s, func(tx *store.Tx) {
		for task := range store.Tasks.All(tx) {
			task = task.Clone()
			task.Version++
			store.Tasks.Put(tx, task)
		}
	})
}

func testClose(t *testing.T, b store.Backend) {
	g := newGated(b)
	s := start(t, g)
	_, w := s.ViewAndWatch()
	under := make(chan error)
	go func() {
		under <- s.Update(context.Background(), func(tx *store.Tx) error { store.Families.Put(tx, family("a", 1)); return nil })
	}()
	<-g.begun
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	g.pass <- nil
	if err := <-under; err != nil {
		t.Errorf("the update under way returned %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := s.Update(t.Context(), func(*store.Tx) error { return nil }); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Update returned %v", err)
	}
	if _, err := w.Next(t.Context()); err != nil {
		t.Errorf("Next lost the last event: %v", err)
	}
	if _, err := w.Next(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Next returned %v", err)
	}
	if revision(start(t, b).View(), "a") != 1 {
		t.Error("what was acknowledged is gone")
	}
}
