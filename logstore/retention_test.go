package logstore

import (
	"fmt"
	"testing"
	"time"
)

// Days that have expired give their space back, without being asked; nothing
// that is not due is looked at.
func TestExpiredSpaceComesBack(t *testing.T) {
	dir := t.TempDir()
	now := time.UnixMilli(1_800_000_000_000)
	c := &clock{now}
	s := open(t, dir, c)
	defer s.Close()
	scope := Scope{"1", "r"}
	for _, g := range []string{"kept", "expires"} {
		if err := s.CreateGroup(scope, Group{Name: g}); err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			if err := s.CreateStream(scope, g, fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.UpdateGroup(scope, "expires", func(g *Group) error { g.RetentionDays = 3; return nil }); err != nil {
		t.Fatal(err)
	}
	for d := range int64(6) { // the days before now, the oldest first
		for k := 0; k < 20_000; k += 1000 {
			if _, err := s.Put(scope, "expires", fmt.Sprint(k/1000%4), lines(k, 1000, now.UnixMilli()-(6-d)*day), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := s.Put(scope, "kept", "0", lines(0, 1000, now.UnixMilli()-6*day), nil); err != nil {
		t.Fatal(err)
	}
	used := func() int64 {
		t.Helper()
		if err := s.db.Flush(); err != nil {
			t.Fatal(err)
		}
		return s.db.Metrics().Total().TablesSize
	}
	before := used()
	if due := s.nextDue(); due > now.UnixMilli() {
		t.Errorf("due at %d, now is %d", due, now.UnixMilli())
	}
	if err := s.Expire(); err != nil {
		t.Fatal(err)
	}
	if due := s.nextDue(); due <= now.UnixMilli() || due > now.UnixMilli()+day {
		t.Errorf("after it, due at %d, now is %d", due, now.UnixMilli())
	}
	n, err := s.StoredBytes(scope, "expires")
	if err != nil {
		t.Fatal(err)
	}
	// Compactions run by themselves: their end is polled for, since Pebble tells
	// nobody of it.
	after, deadline := used(), time.Now().Add(20*time.Second)
	for ; after > before*3/4 && time.Now().Before(deadline); after = used() {
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("files of %d KiB before, %d KiB after three of six days expired; %d bytes counted", before>>10, after>>10, n)
	if after > before*3/4 {
		t.Errorf("files of %d bytes before, %d after", before, after)
	}
	kept, err := readAll(s, "kept", Query{Start: 0, End: now.UnixMilli(), Limit: 1000, MaxBytes: 1 << 20, Scan: 1 << 30})
	if err != nil || len(kept) != 1000 {
		t.Errorf("%d events of the other group, %v", len(kept), err)
	}
	// All of it, and the streams stay.
	c.t = now.Add(10 * 24 * time.Hour)
	if err := s.Expire(); err != nil {
		t.Fatal(err)
	}
	if n, err := s.StoredBytes(scope, "expires"); err != nil || n != 0 {
		t.Errorf("%d bytes are stored, %v", n, err)
	}
	if st, err := s.Streams(scope, "expires", ""); err != nil || len(st) != 4 || st[0].HasEvents {
		t.Errorf("streams %+v, %v", st, err)
	}
	if s.nextDue() <= c.t.UnixMilli() {
		t.Error("an empty group is due")
	}
}

// The store deletes what is due by itself, at once when a retention period or an
// old event makes it so.
func TestExpiresByItself(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	s, err := Open(t.TempDir(), func() time.Time { return now }, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	scope := Scope{"1", "r"}
	if err := s.CreateGroup(scope, Group{Name: "g"}); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateStream(scope, "g", "s"); err != nil {
		t.Fatal(err)
	}
	old := []Event{{Time: now.UnixMilli() - 5*day, Message: "old"}}
	put := func() {
		t.Helper()
		if _, err := s.Put(scope, "g", "s", old, nil); err != nil {
			t.Fatal(err)
		}
	}
	// gone waits until nothing is counted any more: the loop tells nobody.
	gone := func(after string) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			n, err := s.StoredBytes(scope, "g")
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d bytes are left after %s", n, after)
			}
		}
	}
	put()
	if err := s.UpdateGroup(scope, "g", func(g *Group) error { g.RetentionDays = 1; return nil }); err != nil {
		t.Fatal(err)
	}
	gone("a retention period was set")
	put()
	gone("an old event was put")
}

// A store from before the index of days gets one.
func TestIndexIsMade(t *testing.T) {
	dir := t.TempDir()
	c := &clock{time.UnixMilli(1_800_000_000_000)}
	s := open(t, dir, c)
	scope := Scope{"1", "r"}
	if err := s.CreateGroup(scope, Group{Name: "g", RetentionDays: 1}); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateStream(scope, "g", "s"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(scope, "g", "s", lines(0, 10, c.t.UnixMilli()), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.db.DeleteRange([]byte{'x'}, []byte{'y'}, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.db.Delete(versionKey, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, c)
	defer s.Close()
	c.t = c.t.Add(3 * 24 * time.Hour)
	if err := s.Expire(); err != nil {
		t.Fatal(err)
	}
	if n, err := s.StoredBytes(scope, "g"); err != nil || n != 0 {
		t.Errorf("%d bytes are stored, %v", n, err)
	}
}
