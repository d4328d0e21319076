package storetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/berth/berth/store"
)

// Bench measures a store over an engine: updates one by one, from 64 callers,
// and reads, among 10,000 tasks.
func Bench(b *testing.B, open func(b *testing.B) store.Backend) {
	s, err := store.Open(context.Background(), shared{open(b)})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	const tasks, nodes = 10_000, 20
	for i := 0; i < tasks; i += 1000 {
		err := s.Update(b.Context(), func(tx *store.Tx) error {
			for k := i; k < i+1000; k++ {
				store.Tasks.Put(tx, task(fmt.Sprintf("%032x", k), fmt.Sprint("n", k%nodes), 1))
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	one := func(i int) error {
		return s.Update(context.Background(), func(tx *store.Tx) error {
			t, _ := store.Tasks.Get(tx, scope.Key(fmt.Sprintf("c/%032x", i%tasks)))
			t = t.Clone()
			t.Version++
			store.Tasks.Put(tx, t)
			return nil
		})
	}
	b.Run("Update", func(b *testing.B) {
		for i := range b.N {
			if err := one(i); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Update64", func(b *testing.B) {
		var n atomic.Int64
		b.SetParallelism(64)
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				if err := one(int(n.Add(1))); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("Get", func(b *testing.B) {
		key := scope.Key(fmt.Sprintf("c/%032x", 77))
		for b.Loop() {
			if _, ok := store.Tasks.Get(s.View(), key); !ok {
				b.Fatal("it is not there")
			}
		}
	})
	b.Run("By500", func(b *testing.B) {
		for b.Loop() {
			n := 0
			for range store.Tasks.By(s.View(), store.TasksByNode, "n7") {
				n++
			}
			if n != tasks/nodes {
				b.Fatal(n)
			}
		}
	})
	b.Run("PlaceAmong10000", func(b *testing.B) {
		// What RunTask does: look at all tasks of all nodes, and write one.
		for i := range b.N {
			err := s.Update(context.Background(), func(tx *store.Tx) error {
				var cpu int64
				for n := range nodes {
					for t := range store.Tasks.By(tx, store.TasksByNode, fmt.Sprint("n", n)) {
						cpu += int64(t.CPU)
					}
				}
				store.Tasks.Put(tx, task(fmt.Sprintf("%032x", i%tasks), fmt.Sprint("n", i%nodes), cpu))
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
