package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/store/memory"
)

func open(t *testing.T, b store.Backend) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

var scope = state.Scope{Account: "123456789012", Region: "us-east-1"}

func family(name string, n int32) *state.Family {
	return &state.Family{Scope: scope, Name: name, LastRevision: n}
}

func TestReadYourWrites(t *testing.T) {
	s := open(t, memory.New())
	err := s.Update(t.Context(), func(tx *store.Tx) error {
		store.Families.Put(tx, family("a", 1))
		if f, ok := store.Families.Get(tx, scope.Key("a")); !ok || f.LastRevision != 1 {
			t.Error("the transaction doesn't see its own write")
		}
		if _, ok := store.Families.Get(s.View(), scope.Key("a")); ok {
			t.Error("others see what is not committed")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := store.Families.Get(s.View(), scope.Key("a")); !ok {
		t.Error("the write is not visible after Update")
	}
	boom := errors.New("boom")
	if err := s.Update(t.Context(), func(tx *store.Tx) error {
		store.Families.Delete(tx, scope.Key("a"))
		return boom
	}); !errors.Is(err, boom) {
		t.Errorf("Update returned %v", err)
	}
	if _, ok := store.Families.Get(s.View(), scope.Key("a")); !ok {
		t.Error("a failed transaction left something")
	}
	if err := s.Update(t.Context(), func(*store.Tx) error { panic("ouch") }); err == nil {
		t.Error("a panic was no error")
	}
}

// Two processes over one engine: no increment is lost, and both see all.
func TestTwoStoresCount(t *testing.T) {
	b := memory.New()
	stores := []*store.Store{open(t, b), open(t, b)}
	const each, width = 50, 4
	var wg sync.WaitGroup
	for _, s := range stores {
		for range width {
			wg.Go(func() {
				for range each {
					err := s.Update(context.Background(), func(tx *store.Tx) error {
						n := int32(0)
						if f, ok := store.Families.Get(tx, scope.Key("n")); ok {
							n = f.LastRevision
						}
						store.Families.Put(tx, family("n", n+1))
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	for i, s := range stores {
		for deadline := time.Now().Add(5 * time.Second); ; {
			f, _ := store.Families.Get(s.View(), scope.Key("n"))
			if f.LastRevision == each*width*2 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("store %d shows %d, want %d", i, f.LastRevision, each*width*2)
			}
		}
	}
}

func TestWatchAndIndex(t *testing.T) {
	s := open(t, memory.New())
	_, w := s.ViewAndWatch("ecs/task")
	defer w.Close()
	for i := range 10 {
		if err := s.Update(t.Context(), func(tx *store.Tx) error {
			store.Tasks.Put(tx, &state.Task{Scope: scope, Cluster: "c", ID: fmt.Sprint(i), Node: fmt.Sprint("n", i%2), Last: state.Running, Desired: state.Running})
			store.Families.Put(tx, family("ignored", int32(i)))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	var got []store.Event
	for len(got) < 10 {
		events, err := w.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, events...)
	}
	for i, e := range got {
		if e.Table != "ecs/task" || e.Key.ID != fmt.Sprint("c/", i) || e.Old != nil {
			t.Errorf("event %d is %+v", i, e)
		}
	}
	n := 0
	for task := range store.Tasks.By(s.View(), store.TasksByNode, "n1") {
		if task.Node != "n1" {
			t.Errorf("found %s on n1", task.Node)
		}
		n++
	}
	if n != 5 {
		t.Errorf("found %d tasks on n1, want 5", n)
	}
}
