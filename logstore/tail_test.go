package logstore

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

func TestTail(t *testing.T) {
	c := &clock{time.UnixMilli(1_800_000_000_000)}
	s := open(t, t.TempDir(), c)
	scope := Scope{"1", "r"}
	if _, err := s.Tail(scope, "g"); err != ErrNoGroup {
		t.Errorf("no group: %v", err)
	}
	for _, g := range []string{"g", "h"} {
		if err := s.CreateGroup(scope, Group{Name: g}); err != nil {
			t.Fatal(err)
		}
		if err := s.CreateStream(scope, g, "s"); err != nil {
			t.Fatal(err)
		}
	}
	put := func(g, m string) {
		t.Helper()
		if _, err := s.Put(scope, g, "s", []Event{{c.t.UnixMilli(), m}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	tail := func(g string) *Tail {
		t.Helper()
		tl, err := s.Tail(scope, g)
		if err != nil {
			t.Fatal(err)
		}
		return tl
	}
	a, b := tail("g"), tail("g")
	put("h", "other group")
	put("g", "one")
	b.Close()
	b.Close()
	for range tailBuffer + 3 {
		put("g", "more")
	}
	first := <-a.C
	p, err := s.Read(context.Background(), scope, "g", Query{End: c.t.UnixMilli() + 1, Limit: 1, MaxBytes: 1, Scan: 1})
	if err != nil || len(first) != 1 || first[0] != p.Events[0] {
		t.Errorf("tail has %+v, the store %+v, %v", first, p.Events, err)
	}
	if a.Dropped() != 4 {
		t.Errorf("%d are dropped, want 4", a.Dropped())
	}
	if got := <-b.C; got[0].Message != "one" {
		t.Errorf("b has %+v", got)
	}
	if _, open := <-b.C; open {
		t.Error("b is open")
	}
	if err := s.DeleteGroup(scope, "g"); err != nil {
		t.Fatal(err)
	}
	for range a.C { // ends: the group is gone
	}
	last := tail("h")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range last.C { // ends: the store is closed
	}
}

// Puts from many callers are all there, each with an ID of its own.
func TestPutsTogether(t *testing.T) {
	c := &clock{time.UnixMilli(1_800_000_000_000)}
	s := open(t, t.TempDir(), c)
	defer s.Close()
	scope := Scope{"1", "r"}
	if err := s.CreateGroup(scope, Group{Name: "g"}); err != nil {
		t.Fatal(err)
	}
	const streams, each = 8, 50
	var wg sync.WaitGroup
	for i := range streams {
		wg.Go(func() {
			name := fmt.Sprint("s", i/2) // two to a stream
			if err := s.CreateStream(scope, "g", name); err != nil && err != ErrStreamExists {
				t.Error(err)
			}
			for k := range each {
				if _, err := s.Put(scope, "g", name, []Event{{c.t.UnixMilli(), fmt.Sprint(i, k)}}, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got, err := readAll(s, "g", Query{End: c.t.UnixMilli() + 1, Limit: 7, MaxBytes: 1 << 20, Scan: 1 << 20})
	if err != nil || len(got) != streams*each {
		t.Errorf("%d events, %v, want %d", len(got), err, streams*each)
	}
	if n, err := s.StoredBytes(scope, "g"); err != nil || n < streams*each*26 {
		t.Errorf("%d bytes, %v", n, err)
	}
}
