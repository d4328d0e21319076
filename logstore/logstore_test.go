package logstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// clock is a settable one.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func open(t interface {
	Helper()
	Fatal(...any)
}, dir string, c *clock) *Store {
	t.Helper()
	s, err := openStore(dir, c.now, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// model is the store in memory.
type model struct {
	groups map[string]*modelGroup
}

type modelGroup struct {
	retention int32
	streams   map[string]*modelStream
}

type modelStream struct {
	events  []Event // in order of arrival
	cursors map[string]int64
}

// sorted returns the chosen events in the order of a read.
func (g *modelGroup) sorted(now time.Time, q Query) []string {
	type row struct {
		Event
		stream string
		order  string
	}
	var rows []row
	lo := q.Start
	if g.retention != 0 {
		lo = max(lo, now.UnixMilli()-int64(g.retention)*day)
	}
	for name, st := range g.streams {
		if q.Streams != nil && !slices.Contains(q.Streams, name) || !strings.HasPrefix(name, q.Prefix) {
			continue
		}
		for _, e := range st.events {
			if e.Time >= lo && e.Time < q.End && (q.Match == nil || q.Match(e.Message)) {
				rows = append(rows, row{e, name, e.Message[:8]})
			}
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.order, b.order)) })
	if q.Backward {
		slices.Reverse(rows)
	}
	var out []string
	for _, r := range rows {
		out = append(out, fmt.Sprint(r.stream, " ", r.Time, " ", r.Message))
	}
	return out
}

// readAll reads all pages.
func readAll(s *Store, group string, q Query) ([]string, error) {
	var out []string
	ids := map[string]bool{}
	for {
		p, err := s.Read(context.Background(), Scope{"1", "r"}, group, q)
		if err != nil {
			return nil, err
		}
		bytes := 0
		for _, e := range p.Events {
			out = append(out, fmt.Sprint(e.Stream, " ", e.Time, " ", e.Message))
			if bytes += len(e.Message) + 26; ids[e.ID()] || len(e.ID()) != 56 {
				return nil, fmt.Errorf("event ID %s", e.ID())
			}
			ids[e.ID()] = true
		}
		if len(p.Events) > q.Limit || bytes > q.MaxBytes && len(p.Events) > 1 {
			return nil, fmt.Errorf("page of %d events, %d bytes", len(p.Events), bytes)
		}
		if !p.More {
			return out, nil
		}
		next, err := ParsePosition(p.Next.String())
		if err != nil || next != p.Next || q.From != nil && *q.From == next {
			return nil, fmt.Errorf("position %v became %v: %v", p.Next, next, err)
		}
		q.From = &next
	}
}

func TestAgainstModel(t *testing.T) {
	root := t.TempDir()
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		dir := fmt.Sprintf("%s/%d", root, runs)
		c := &clock{time.UnixMilli(1_000 * day)}
		s := open(t, dir, c)
		defer func() { s.Close() }()
		scope := Scope{"1", "r"}
		m := model{map[string]*modelGroup{}}
		arrived := 0
		group := rapid.SampledFrom([]string{"a", "a/b", "z"})
		stream := rapid.SampledFrom([]string{"s", "s1", "t", "s/\xff"})
		check := func(what string, got, want error) {
			if !errors.Is(got, want) {
				t.Fatalf("%s: error %v, want %v", what, got, want)
			}
		}
		// missing returns the error that the names should give.
		missing := func(g, st string) error {
			if m.groups[g] == nil {
				return ErrNoGroup
			}
			if m.groups[g].streams[st] == nil {
				return ErrNoStream
			}
			return nil
		}
		t.Repeat(map[string]func(*rapid.T){
			"create group": func(t *rapid.T) {
				g := group.Draw(t, "group")
				var want error
				if m.groups[g] != nil {
					want = ErrGroupExists
				} else {
					m.groups[g] = &modelGroup{streams: map[string]*modelStream{}}
				}
				check("create group", s.CreateGroup(scope, Group{Name: g}), want)
			},
			"delete group": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "seldom") > 0 {
					return
				}
				g := group.Draw(t, "group")
				var want error
				if m.groups[g] == nil {
					want = ErrNoGroup
				}
				delete(m.groups, g)
				check("delete group", s.DeleteGroup(scope, g), want)
			},
			"retention": func(t *rapid.T) {
				g, days := group.Draw(t, "group"), rapid.SampledFrom([]int32{0, 1, 3}).Draw(t, "days")
				if m.groups[g] != nil {
					m.groups[g].retention = days
					check("retention", s.UpdateGroup(scope, g, func(g *Group) error { g.RetentionDays = days; return nil }), nil)
				}
				if days == 0 { // what had expired is gone for good
					return
				}
				if rapid.Bool().Draw(t, "expire") {
					check("expire", s.Expire(), nil)
					for _, g := range m.groups {
						for _, st := range g.streams {
							st.events = slices.DeleteFunc(st.events, func(e Event) bool {
								return g.retention != 0 && dayOf(e.Time) < dayOf(c.t.UnixMilli()-int64(g.retention)*day)
							})
						}
					}
				}
			},
			"create stream": func(t *rapid.T) {
				g, st := group.Draw(t, "group"), stream.Draw(t, "stream")
				want := missing(g, st)
				if want == nil {
					want = ErrStreamExists
				} else if want == ErrNoStream {
					m.groups[g].streams[st] = &modelStream{cursors: map[string]int64{}}
					want = nil
				}
				check("create stream", s.CreateStream(scope, g, st), want)
			},
			"delete stream": func(t *rapid.T) {
				if rapid.IntRange(0, 4).Draw(t, "seldom") > 0 {
					return
				}
				g, st := group.Draw(t, "group"), stream.Draw(t, "stream")
				want := missing(g, st)
				if want == nil {
					delete(m.groups[g].streams, st)
				}
				check("delete stream", s.DeleteStream(scope, g, st), want)
			},
			"put": func(t *rapid.T) {
				g, st := group.Draw(t, "group"), stream.Draw(t, "stream")
				var events []Event
				for range rapid.IntRange(0, 40).Draw(t, "n") {
					arrived++
					events = append(events, Event{
						Time:    c.t.UnixMilli() - rapid.SampledFrom([]int64{0, 1, 2, 3, day, 2 * day}).Draw(t, "ago"),
						Message: fmt.Sprintf("%08d", arrived) + strings.Repeat("x", rapid.IntRange(0, 50).Draw(t, "long")),
					})
				}
				var cur *Cursor
				if rapid.Bool().Draw(t, "cursor") {
					cur = &Cursor{Source: rapid.SampledFrom([]string{"c", "d"}).Draw(t, "source"), Next: rapid.Int64Range(1, 20).Draw(t, "next")}
				}
				want := missing(g, st)
				_, err := s.Put(scope, g, st, events, cur)
				check("put", err, want)
				if want != nil {
					return
				}
				ms := m.groups[g].streams[st]
				if cur != nil {
					if cur.Next <= ms.cursors[cur.Source] {
						return
					}
					ms.cursors[cur.Source] = cur.Next
				}
				ms.events = append(ms.events, events...)
			},
			"time passes": func(t *rapid.T) {
				c.t = c.t.Add(time.Duration(rapid.SampledFrom([]int{1, 2, 1000, 12 * 3600 * 1000}).Draw(t, "ms")) * time.Millisecond)
			},
			"reopen": func(t *rapid.T) {
				if rapid.IntRange(0, 3).Draw(t, "seldom") > 0 {
					return
				}
				check("close", s.Close(), nil)
				s = open(t, dir, c)
			},
			"": func(t *rapid.T) {
				g := group.Draw(t, "group")
				q := Query{
					Start: c.t.UnixMilli() - rapid.SampledFrom([]int64{0, 1, 2, 100, 3 * day, 100 * day}).Draw(t, "start"),
					End:   c.t.UnixMilli() - rapid.SampledFrom([]int64{-1, 0, 1, 2, day}).Draw(t, "end"),
					Limit: rapid.IntRange(1, 30).Draw(t, "limit"), MaxBytes: rapid.IntRange(1, 2000).Draw(t, "bytes"),
					Scan: rapid.IntRange(1, 2000).Draw(t, "scan"), Backward: rapid.Bool().Draw(t, "backward"),
				}
				switch rapid.IntRange(0, 2).Draw(t, "which") {
				case 0:
					q.Prefix = rapid.SampledFrom([]string{"", "s", "s/", "t", "x"}).Draw(t, "prefix")
				case 1:
					if m.groups[g] != nil {
						for name := range m.groups[g].streams {
							q.Streams = append(q.Streams, name)
						}
						slices.Sort(q.Streams)
						q.Streams = q.Streams[:len(q.Streams)/2]
					}
				}
				if rapid.Bool().Draw(t, "match") {
					q.Match = func(m string) bool { return strings.Contains(m, "3") }
				}
				got, err := readAll(s, g, q)
				if m.groups[g] == nil {
					check("read", err, ErrNoGroup)
					return
				}
				check("read", err, nil)
				want := m.groups[g].sorted(c.t, q)
				if !slices.Equal(got, want) {
					t.Fatalf("read %+v:\ngot  %v\nwant %v", q, got, want)
				}
				got = nil
				for e, err := range s.Scan(context.Background(), scope, g, q) {
					check("scan", err, nil)
					got = append(got, fmt.Sprint(e.Stream, " ", e.Time, " ", e.Message))
				}
				if !slices.Equal(got, want) {
					t.Fatalf("scan %+v:\ngot  %v\nwant %v", q, got, want)
				}
				streams, err := s.Streams(scope, g, q.Prefix)
				check("streams", err, nil)
				n := 0
				for name := range m.groups[g].streams {
					if strings.HasPrefix(name, q.Prefix) {
						n++
					}
				}
				behind := stream.Draw(t, "behind")
				some, err := s.StreamsAfter(scope, g, q.Prefix, behind, 2)
				check("streams after", err, nil)
				var wantNames, gotNames []string
				for _, st := range streams {
					if st.Name > behind && len(wantNames) < 2 {
						wantNames = append(wantNames, st.Name)
					}
				}
				for _, st := range some {
					gotNames = append(gotNames, st.Name)
				}
				if !slices.Equal(gotNames, wantNames) {
					t.Fatalf("streams of %q behind %q: %q, want %q", q.Prefix, behind, gotNames, wantNames)
				}
				if len(streams) != n {
					t.Fatalf("%d streams begin with %q, want %d", len(streams), q.Prefix, n)
				}
				for _, st := range streams {
					ms := m.groups[g].streams[st.Name]
					first, last := int64(math.MaxInt64), int64(math.MinInt64)
					for _, e := range ms.events {
						first, last = min(first, e.Time), max(last, e.Time)
					}
					if st.HasEvents != (len(ms.events) > 0) || st.HasEvents && (st.First != first || st.Last != last) {
						t.Fatalf("stream %+v, want %d events from %d to %d", st, len(ms.events), first, last)
					}
					for source, want := range ms.cursors {
						if got, err := s.Cursor(scope, g, st.Name, source); err != nil || got != want {
							t.Fatalf("cursor %s is %d, %v, want %d", source, got, err, want)
						}
					}
				}
				if m.groups[g].retention == 0 {
					var want int64
					for _, st := range m.groups[g].streams {
						for _, e := range st.events {
							want += int64(len(e.Message)) + 26
						}
					}
					got, err := s.StoredBytes(scope, g)
					check("stored bytes", err, nil)
					if got < want { // a day that has expired in part counts whole
						t.Fatalf("%d bytes are stored, want %d", got, want)
					}
				}
			},
		})
	})
}
