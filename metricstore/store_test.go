package metricstore

import (
	"testing"
	"time"
)

// What was acknowledged is there after the next start, and old points go.
func TestReopenAndExpire(t *testing.T) {
	now := time.Date(2026, 1, 20, 12, 0, 30, 0, time.UTC)
	clock := func() time.Time { return now }
	dir := t.TempDir()
	s, err := Open(dir, clock)
	if err != nil {
		t.Fatal(err)
	}
	x := Series{Account: "1", Region: "r", Namespace: "n", Metric: "m", Unit: "None"}
	y := x
	y.Dimensions = []Dimension{{"A", "1"}}
	sample := func(x Series, at time.Time, v float64) Sample { return Sample{x, Point{at, 1, v, v, v}} }
	if err := s.Put([]Sample{sample(x, now, 2), sample(x, now, 3), sample(x, now.Add(-10*24*time.Hour), 1), sample(y, now.Add(-10*24*time.Hour), 7)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(dir, clock); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	minute := now.Truncate(time.Minute)
	read := func(x Series) []Point {
		points, err := s.Read(x, time.Time{}, now.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return points
	}
	if p := read(x); len(p) != 2 || p[1] != (Point{minute, 2, 5, 2, 3}) || len(read(y)) != 1 {
		t.Errorf("points %+v", p)
	}
	if p, err := s.Read(x, minute, minute); err != nil || p != nil {
		t.Errorf("points of no time: %v, %v", p, err)
	}
	count := func() (n int) {
		if err := s.List("1", "r", func(Series, time.Time) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := count(); n != 2 {
		t.Errorf("%d series", n)
	}
	now = now.Add(6 * 24 * time.Hour)
	if err := s.Put([]Sample{sample(x, now, 9)}); err != nil {
		t.Fatal(err)
	}
	if p := read(x); len(p) != 2 || p[1].Sum != 9 {
		t.Errorf("points %+v after the old one's end", p)
	}
	if n := count(); n != 1 {
		t.Errorf("%d series after the end of one", n)
	}
	if err := s.List("2", "r", func(x Series, _ time.Time) error { t.Errorf("%+v is of another account", x); return nil }); err != nil {
		t.Error(err)
	}
}
