package metricstore

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/berth/berth/internal/disk"
)

// Retention is how long points are kept.
const Retention = 15 * 24 * time.Hour

// reserve is how many bytes must be free on the disk for a write.
const reserve = 64 << 20

// Dimension is one of the names that tell series of a metric apart.
type Dimension struct{ Name, Value string }

// Series is what points are of. Dimensions are sorted by name.
type Series struct {
	Account, Region   string
	Namespace, Metric string
	Dimensions        []Dimension
	Unit              string
}

// Point is the samples of one minute.
type Point struct {
	Time  time.Time // the minute's begin
	Count float64
	Sum   float64
	Min   float64
	Max   float64
}

// Add is p with the samples of q too.
func (p Point) Add(q Point) Point {
	if p.Count == 0 {
		return Point{p.Time, q.Count, q.Sum, q.Min, q.Max}
	}
	return Point{p.Time, p.Count + q.Count, p.Sum + q.Sum, math.Min(p.Min, q.Min), math.Max(p.Max, q.Max)}
}

// Sample is one value of a series, or several together, at a time.
type Sample struct {
	Series
	Point
}

// Store is an open store of metrics. Its methods may be called by many goroutines.
type Store struct {
	dir string
	db  *pebble.DB
	now func() time.Time

	mu      sync.Mutex // makes writes one by one
	expired time.Time  // when old points went last
}

// Open opens or makes the store in dir.
func Open(dir string, now func() time.Time) (*Store, error) {
	cache := pebble.NewCache(2 << 20)
	defer cache.Unref()
	db, err := pebble.Open(dir, &pebble.Options{FormatMajorVersion: pebble.FormatNewest, Cache: cache, MemTableSize: 2 << 20, Logger: quiet{}})
	if err != nil {
		return nil, fmt.Errorf("open the store of metrics in %s: %w", dir, err)
	}
	return &Store{dir: dir, db: db, now: now}, nil
}

// quiet drops Pebble's notes; its errors come back from its calls, but for those
// after which it can't go on.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf("store of metrics: "+format, args...))
}

// Close ends the store. No method may be running or be called after it.
func (s *Store) Close() error { return s.db.Close() }

// record is a series in the store: under "s" and its name.
type record struct {
	Series
	ID   uint64
	Last time.Time // of the newest point
}

var idKey = []byte("n") // the last ID given out

// name is a series as a key: JSON keeps its parts apart, and sorts by account, region,
// namespace and metric.
func (x Series) name() []byte {
	b, err := json.Marshal([]any{x.Account, x.Region, x.Namespace, x.Metric, x.Dimensions, x.Unit})
	if err != nil {
		panic(err) // strings always have a form
	}
	return append([]byte("s"), b...)
}

func pointKey(id uint64, at time.Time) []byte {
	k := binary.BigEndian.AppendUint64([]byte("p"), id)
	return binary.BigEndian.AppendUint64(k, uint64(at.Unix()/60))
}

func encode(p Point) []byte {
	var b []byte
	for _, f := range []float64{p.Count, p.Sum, p.Min, p.Max} {
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(f))
	}
	return b
}

func decode(key, b []byte) (Point, error) {
	if len(b) != 32 || len(key) != 17 {
		return Point{}, fmt.Errorf("a point has %d bytes in the store of metrics", len(b))
	}
	f := func(i int) float64 { return math.Float64frombits(binary.BigEndian.Uint64(b[8*i:])) }
	return Point{time.Unix(int64(binary.BigEndian.Uint64(key[9:]))*60, 0).UTC(), f(0), f(1), f(2), f(3)}, nil
}

// get reads a value out of a batch over the store; nil if there is none.
func get(b *pebble.Batch, key []byte) ([]byte, error) {
	v, closer, err := b.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v = append([]byte{}, v...)
	return v, closer.Close()
}

// Put adds samples. Those whose time is not within the last [Retention] are the caller's to
// refuse.
func (s *Store) Put(samples []Sample) error {
	if err := disk.Room(s.dir, reserve); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.db.NewIndexedBatch()
	defer b.Close()
	for _, x := range samples {
		if err := s.add(b, x); err != nil {
			return fmt.Errorf("write the store of metrics: %w", err)
		}
	}
	now := s.now()
	expire := now.Sub(s.expired) >= time.Hour
	if expire {
		if err := s.expire(b, now.Add(-Retention)); err != nil {
			return fmt.Errorf("delete old points from the store of metrics: %w", err)
		}
	}
	if err := b.Commit(pebble.Sync); err != nil {
		return fmt.Errorf("write the store of metrics: %w", err)
	}
	if expire {
		s.expired = now
	}
	return nil
}

func (s *Store) add(b *pebble.Batch, x Sample) error {
	var r record
	v, err := get(b, x.name())
	if err != nil {
		return err
	}
	if v == nil {
		last, err := get(b, idKey)
		if err != nil {
			return err
		}
		if last != nil {
			r.ID = binary.BigEndian.Uint64(last)
		}
		r.ID++
		r.Series = x.Series
		if err := b.Set(idKey, binary.BigEndian.AppendUint64(nil, r.ID), nil); err != nil {
			return err
		}
	} else if err := json.Unmarshal(v, &r); err != nil {
		return err
	}
	at := x.Time.Truncate(time.Minute)
	if v == nil || at.After(r.Last) {
		r.Last = at
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		if err := b.Set(x.name(), text, nil); err != nil {
			return err
		}
	}
	key := pointKey(r.ID, at)
	p := Point{}
	if v, err = get(b, key); err != nil {
		return err
	}
	if v != nil {
		if p, err = decode(key, v); err != nil {
			return err
		}
	}
	return b.Set(key, encode(p.Add(x.Point)), nil)
}

// expire deletes points before a time, and series that have none after it.
func (s *Store) expire(b *pebble.Batch, before time.Time) error {
	return s.series(b, []byte("s"), func(key []byte, r record) error {
		if r.Last.Before(before) {
			if err := b.Delete(key, nil); err != nil {
				return err
			}
		}
		return b.DeleteRange(pointKey(r.ID, time.Unix(0, 0)), pointKey(r.ID, before), nil)
	})
}

// iterable is the store, or a batch over it.
type iterable interface {
	NewIter(*pebble.IterOptions) (*pebble.Iterator, error)
}

func (s *Store) series(from iterable, prefix []byte, f func(key []byte, r record) error) error {
	upper := append([]byte{}, prefix...)
	upper[len(upper)-1]++
	it, err := from.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: upper})
	if err != nil {
		return err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var r record
		if err = json.Unmarshal(it.Value(), &r); err == nil {
			err = f(append([]byte{}, it.Key()...), r)
		}
	}
	return errors.Join(err, it.Close())
}

// List calls f for each series of an account and region, in the order of namespace and
// metric, with the time of its newest point.
func (s *Store) List(account, region string, f func(x Series, last time.Time) error) error {
	b, err := json.Marshal([]any{account, region})
	if err != nil {
		return err
	}
	prefix := append([]byte("s"), b[:len(b)-1]...) // without the bracket
	return s.series(s.db, append(prefix, ','), func(_ []byte, r record) error { return f(r.Series, r.Last) })
}

// Read returns the points of a series, from a time up to before another, by time.
func (s *Store) Read(x Series, from, to time.Time) (points []Point, err error) {
	v, closer, err := s.db.Get(x.name())
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the store of metrics: %w", err)
	}
	var r record
	if err := errors.Join(json.Unmarshal(v, &r), closer.Close()); err != nil {
		return nil, fmt.Errorf("read the store of metrics: %w", err)
	}
	if from.Before(time.Unix(0, 0)) {
		from = time.Unix(0, 0)
	}
	if !from.Before(to) {
		return nil, nil
	}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: pointKey(r.ID, from), UpperBound: pointKey(r.ID, to.Add(time.Minute-1))})
	if err != nil {
		return nil, fmt.Errorf("read the store of metrics: %w", err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		p, err := decode(it.Key(), it.Value())
		if err != nil {
			return nil, err
		}
		if !p.Time.Before(from) {
			points = append(points, p)
		}
	}
	return points, it.Error()
}
