package logstore

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// lines makes n events like an application's, with 160 bytes or so each.
func lines(from, n int, base int64) []Event {
	events := make([]Event, n)
	for i := range events {
		k := from + i
		events[i] = Event{Time: base + int64(k), Message: fmt.Sprintf(
			`{"level":"info","ts":"2026-11-23T10:%02d:%02d.%03dZ","msg":"request served","method":"GET","path":"/api/items/%d","status":%d,"ms":%d,"id":"%08x"}`,
			k/60000%60, k/1000%60, k%1000, k*7919%100000, 200+k%5, k%300, uint32(k)*2654435761)}
	}
	return events
}

const million = 1_000_000

// filled is a store with a million events in one stream, a millisecond apart.
func filled(b *testing.B) (*Store, Scope, int64) {
	b.Helper()
	c := &clock{time.UnixMilli(1_800_000_000_000)}
	s := open(b, b.TempDir(), c)
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	scope, base := Scope{"1", "r"}, c.t.UnixMilli()-million
	if err := s.CreateGroup(scope, Group{Name: "g"}); err != nil {
		b.Fatal(err)
	}
	if err := s.CreateStream(scope, "g", "s"); err != nil {
		b.Fatal(err)
	}
	for k := 0; k < million; k += 5000 {
		if _, err := s.Put(scope, "g", "s", lines(k, 5000, base), nil); err != nil {
			b.Fatal(err)
		}
	}
	return s, scope, base
}

func BenchmarkIngest(b *testing.B) {
	for _, size := range []int{1, 100, 5000} {
		b.Run(fmt.Sprintf("events=%d", size), func(b *testing.B) {
			c := &clock{time.UnixMilli(1_800_000_000_000)}
			dir := b.TempDir()
			s := open(b, dir, c)
			scope := Scope{"1", "r"}
			s.CreateGroup(scope, Group{Name: "g"})
			s.CreateStream(scope, "g", "s")
			batch, raw, k := lines(0, size, 1_800_000_000_000), 0, 0
			for b.Loop() {
				for i := range batch {
					batch[i].Time = 1_800_000_000_000 + int64(k)
					raw += len(batch[i].Message)
					k++
				}
				if _, err := s.Put(scope, "g", "s", batch, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(k)/b.Elapsed().Seconds(), "events/s")
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkPutTogether is many callers with one event each: they share syncs.
func BenchmarkPutTogether(b *testing.B) {
	c := &clock{time.UnixMilli(1_800_000_000_000)}
	s := open(b, b.TempDir(), c)
	defer s.Close()
	scope := Scope{"1", "r"}
	s.CreateGroup(scope, Group{Name: "g"})
	var n atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		stream := fmt.Sprint(n.Add(1))
		if err := s.CreateStream(scope, "g", stream); err != nil {
			b.Error(err)
		}
		for pb.Next() {
			if _, err := s.Put(scope, "g", stream, lines(0, 1, c.t.UnixMilli()), nil); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkBehindAMillion(b *testing.B) {
	s, scope, base := filled(b)
	b.Run("put", func(b *testing.B) {
		batch := lines(0, 1, base+million)
		for b.Loop() {
			if _, err := s.Put(scope, "g", "s", batch, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	read := func(name string, q Query, want int) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				q := q
				for n := 0; ; {
					p, err := s.Read(b.Context(), scope, "g", q)
					if err != nil {
						b.Fatal(err)
					}
					n += len(p.Events)
					if q.From = &p.Next; !p.More {
						if n != want {
							b.Fatalf("%d events, want %d", n, want)
						}
						break
					}
				}
			}
		})
	}
	mid := base + million/2
	read("get one page of 100", Query{Streams: []string{"s"}, Start: mid, End: mid + 100, Limit: 100, MaxBytes: 1 << 20, Scan: 1 << 30}, 100)
	read("get 1 percent", Query{Streams: []string{"s"}, Start: mid, End: mid + million/100, Limit: 10_000, MaxBytes: 1 << 24, Scan: 1 << 30}, million/100)
	match := func(m string) bool { return len(m) > 1<<20 }
	read("scan all", Query{Start: 0, End: math.MaxInt64, Match: match, Limit: 10_000, MaxBytes: 1 << 20, Scan: 1 << 30}, 0)
}

// BenchmarkDisk reports how well lines are compressed once Pebble has compacted.
func BenchmarkDisk(b *testing.B) {
	for b.Loop() {
		c := &clock{time.UnixMilli(1_800_000_000_000)}
		dir := b.TempDir()
		s := open(b, dir, c)
		scope, raw := Scope{"1", "r"}, 0
		s.CreateGroup(scope, Group{Name: "g"})
		for i := range 10 {
			s.CreateStream(scope, "g", fmt.Sprint(i))
		}
		for k := 0; k < million/2; k += 500 { // ten streams side by side
			events := lines(k, 500, c.t.UnixMilli())
			for _, e := range events {
				raw += len(e.Message)
			}
			if _, err := s.Put(scope, "g", fmt.Sprint(k/500%10), events, nil); err != nil {
				b.Fatal(err)
			}
		}
		size := func() float64 {
			var n int64
			filepath.WalkDir(dir, func(_ string, d os.DirEntry, _ error) error {
				if i, err := d.Info(); err == nil && !d.IsDir() {
					n += i.Size()
				}
				return nil
			})
			return float64(n) / (1 << 20)
		}
		b.ReportMetric(float64(raw)/(1<<20), "raw-MB")
		b.ReportMetric(size(), "MB-at-once")
		if err := s.db.Compact(b.Context(), []byte{'a'}, []byte{'z'}, false); err != nil {
			b.Fatal(err)
		}
		s.Close()
		b.ReportMetric(size(), "MB-compacted")
	}
}
