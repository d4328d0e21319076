package logstore

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// Records live with their group, and each kind and scope by itself.
func TestDocs(t *testing.T) {
	dir := t.TempDir()
	c := &clock{time.Unix(1000, 0)}
	s := open(t, dir, c)
	scope, other := Scope{"1", "r"}, Scope{"1", "s"}
	set := func(scope Scope, group, kind, name, value string) error {
		return s.UpdateDocs(scope, group, kind, func(docs map[string][]byte) error {
			docs[name] = []byte(value)
			return nil
		})
	}
	if err := set(scope, "g", "filter", "a", "1"); !errors.Is(err, ErrNoGroup) {
		t.Errorf("without the group: %v", err)
	}
	if err := s.CreateGroup(scope, Group{Name: "g"}); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		set(scope, "g", "filter", "a", "1"), set(scope, "g", "filter", "b\x00c", "2"), set(scope, "g", "filters", "a", "3"),
		set(scope, "", "filter", "a", "4"), set(other, "", "filter", "a", "5"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	refused := errors.New("refused")
	if err := s.UpdateDocs(scope, "g", "filter", func(docs map[string][]byte) error { delete(docs, "a"); return refused }); !errors.Is(err, refused) {
		t.Errorf("a refused change: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, c)
	defer s.Close()
	for _, x := range []struct {
		scope             Scope
		group, kind, want string
	}{
		{scope, "g", "filter", `map[a:1 b` + "\x00" + `c:2]`}, {scope, "g", "filters", "map[a:3]"},
		{scope, "", "filter", "map[a:4]"}, {other, "", "filter", "map[a:5]"}, {other, "", "filters", "map[]"},
	} {
		docs, err := s.Docs(x.scope, x.group, x.kind)
		if got := fmt.Sprintf("%s", docs); err != nil || got != x.want {
			t.Errorf("%v %s %s: %q, %v", x.scope, x.group, x.kind, got, err)
		}
	}
	if err := s.DeleteGroup(scope, "g"); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateGroup(scope, Group{Name: "g"}); err != nil {
		t.Fatal(err)
	}
	if docs, err := s.Docs(scope, "g", "filter"); err != nil || len(docs) != 0 {
		t.Errorf("of the group that was deleted: %v, %v", docs, err)
	}
}

func TestWatch(t *testing.T) {
	s := open(t, t.TempDir(), &clock{time.UnixMilli(5000)})
	defer s.Close()
	scope := Scope{"1", "r"}
	for _, g := range []string{"a", "b"} {
		if err := errors.Join(s.CreateGroup(scope, Group{Name: g}), s.CreateStream(scope, g, "s")); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	stop, err := s.Watch(scope, []string{"a"}, func(g string, events []Stored) {
		for _, e := range events {
			got = append(got, fmt.Sprint(g, e.Stream, e.Time, e.Ingested, e.Message))
			p, err := s.Read(t.Context(), scope, g, Query{Start: 0, End: 10, From: &e.Position, Limit: 1, MaxBytes: 100, Scan: 100})
			if err != nil || p.Events[0] != e {
				t.Errorf("it is %+v in the store, %v", p.Events, err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	put := func(g, m string) {
		t.Helper()
		if _, err := s.Put(scope, g, "s", []Event{{1, m}, {2, m + m}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	put("a", "x")
	put("b", "y")
	stop()
	put("a", "z")
	if want := "[as1 5000x as2 5000xx]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if _, err := s.Watch(scope, []string{"c"}, nil); !errors.Is(err, ErrNoGroup) {
		t.Errorf("watch of no group: %v", err)
	}
}
