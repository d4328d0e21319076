package nodes

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/store/memory"
)

func TestNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		open := func() *store.Store {
			s, err := store.Open(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		first, second := open(), open()
		defer first.Close()
		status := func(after time.Duration, want string) {
			t.Helper()
			time.Sleep(after) // in the bubble's time
			synctest.Wait()
			got := ""
			for n := range store.Nodes.All(first.View()) {
				got += n.ID + " " + n.Status + " "
			}
			if got != want {
				t.Errorf("nodes are %q, want %q", got, want)
			}
		}
		began := time.Now()
		for s, id := range map[*store.Store]string{first: "a", second: "b"} {
			if err := Register(t.Context(), s, state.Node{ID: id, CPU: 1024}, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		go func() { ended <- Watch(ctx, first, "a", time.Now) }()
		go func() { ended <- Watch(ctx, second, "b", time.Now) }()
		synctest.Wait()
		rev := first.View().Revision()
		status(10*beat+1, "a READY b READY ")
		if writes := first.View().Revision() - rev; writes > 20 {
			t.Errorf("two idle nodes wrote %d times in %v", writes, 10*beat)
		}
		second.Close()
		if err := <-ended; !errors.Is(err, store.ErrClosed) {
			t.Errorf("after its store's end Watch returned %v", err)
		}
		status(lost-beat, "a READY b READY ")
		status(3*beat, "a READY b DOWN ")

		third := open()
		defer third.Close()
		if err := Register(t.Context(), third, state.Node{ID: "b", CPU: 2048}, time.Now()); err != nil {
			t.Fatal(err)
		}
		status(0, "a READY b READY ")
		if n, _ := store.Nodes.Get(first.View(), state.Key{ID: "b"}); n.CPU != 2048 || !n.RegisteredAt.Equal(began) {
			t.Errorf("registered anew it is %+v", n)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch returned %v", err)
		}
	})
}
