package logstore

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"

	"github.com/berth/berth/internal/disk"
)

// What an operation may find wrong.
var (
	ErrNoGroup      = errors.New("log group does not exist")
	ErrNoStream     = errors.New("log stream does not exist")
	ErrGroupExists  = errors.New("log group already exists")
	ErrStreamExists = errors.New("log stream already exists")
)

// Scope is the account and region that a group belongs to.
type Scope struct {
	Account string
	Region  string
}

// Sizes for a process that is idle most of the time. A memtable starts at 256
// KiB and grows to its size under load.
const (
	memTable   = 8 << 20
	blockCache = 8 << 20
	blockSize  = 64 << 10
)

// reserve is how many bytes must be free on the disk for a write: what memtables
// and a compaction of the newest level may need.
const reserve = 64 << 20

// Store is an open log store. Its methods may be called by many goroutines.
type Store struct {
	dir     string
	reserve uint64 // as the constant, but in tests
	db      *pebble.DB
	now     func() time.Time
	log     *slog.Logger

	// mu makes writes one by one, up to their place in the write-ahead log;
	// syncing it happens outside.
	mu     sync.RWMutex
	groups map[groupName]*Group // values are never changed, but replaced
	seq    uint64               // last one given out
	oldest map[uint64]uint64    // the oldest day of each group that has events

	watch watchers
	wake  chan struct{} // something else may be due
	stop  chan struct{}
	wg    sync.WaitGroup
}

type groupName struct {
	Scope
	name string
}

// Open opens or makes the store in dir, and begins to delete what has expired.
func Open(dir string, now func() time.Time, log *slog.Logger) (*Store, error) {
	s, err := openStore(dir, now, log)
	if err == nil {
		s.wg.Go(s.expireLoop)
	}
	return s, err
}

// openStore opens a store that does nothing by itself.
func openStore(dir string, now func() time.Time, log *slog.Logger) (*Store, error) {
	o := &pebble.Options{
		FormatMajorVersion: pebble.FormatNewest,
		MemTableSize:       memTable,
		CacheSize:          blockCache,
		MaxOpenFiles:       256,
		Logger:             logger{log},
	}
	for i := range o.Levels {
		l := &o.Levels[i]
		if i == 0 {
			l.Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
			continue
		}
		l.BlockSize = blockSize
		l.Compression = func() *sstable.CompressionProfile { return sstable.ZstdCompression }
	}
	db, err := pebble.Open(dir, o)
	if err != nil {
		return nil, fmt.Errorf("open the log store %s: %w", dir, err)
	}
	s := &Store{dir: dir, reserve: reserve, db: db, now: now, log: log, groups: map[groupName]*Group{}, oldest: map[uint64]uint64{},
		wake: make(chan struct{}, 1), stop: make(chan struct{})}
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("read the log store %s: %w", dir, err), db.Close())
	}
	return s, nil
}

// Close closes the store. No method may be running or be called after it.
func (s *Store) Close() error {
	close(s.stop)
	s.wg.Wait()
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close the log store: %w", err)
	}
	return nil
}

// load reads the groups, with their oldest days, and the last sequence number.
func (s *Store) load() error {
	if err := s.get(seqKey, func(v []byte) error {
		var ok bool
		if s.seq, ok = number(v); !ok {
			return fmt.Errorf("sequence number of %d bytes", len(v))
		}
		return nil
	}); err != nil {
		return err
	}
	if err := s.each([]byte{'g'}, []byte{'h'}, func(k, v []byte) error {
		g, err := decodeGroup(v)
		if err != nil {
			return fmt.Errorf("log group %q: %w", k, err)
		}
		s.groups[groupName{g.scope, g.Name}] = g
		return nil
	}); err != nil {
		return err
	}
	if err := s.indexDays(); err != nil {
		return err
	}
	for _, g := range s.groups {
		if err := s.findOldest(g.id); err != nil {
			return err
		}
	}
	return nil
}

// get calls read with the value of key, or not at all where there is none.
func (s *Store) get(key []byte, read func(v []byte) error) error {
	v, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(read(v), closer.Close())
}

// each calls f for all keys in [from, to), in order. Key and value are valid
// during the call.
func (s *Store) each(from, to []byte, f func(k, v []byte) error) error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return err
	}
	for it.First(); it.Valid(); it.Next() {
		v, err := it.ValueAndErr()
		if err == nil {
			err = f(it.Key(), v)
		}
		if err != nil {
			return errors.Join(err, it.Close())
		}
	}
	return it.Close()
}

// begin starts a write: the caller holds mu.
func (s *Store) begin() *pebble.Batch { return s.db.NewBatch() }

// next gives out a sequence number, which also serves as an ID. The caller
// holds mu and ends its batch with commit.
func (s *Store) next() uint64 {
	s.seq++
	return s.seq
}

// commit gives the batch its place in the write-ahead log and unlocks mu, then
// waits until it is synced.
func (s *Store) commit(b *pebble.Batch) error {
	// After a write that failed Pebble takes no more: so it doesn't get to that.
	err := disk.Room(s.dir, s.reserve)
	if err == nil {
		err = b.Set(seqKey, be(s.seq), nil)
	}
	if err == nil {
		err = s.db.ApplyNoSyncWait(b, pebble.Sync)
	}
	s.mu.Unlock()
	if err == nil {
		err = b.SyncWait()
	}
	if err := errors.Join(err, b.Close()); err != nil {
		return fmt.Errorf("write to the log store: %w", err)
	}
	return nil
}

// rollback ends a write that is not to be, for the reason given.
func (s *Store) rollback(b *pebble.Batch, err error) error {
	s.mu.Unlock()
	if e := b.Close(); e != nil {
		return errors.Join(err, e)
	}
	return err
}

// logger passes Pebble's words on. Its notes on compactions are for debugging.
type logger struct{ log *slog.Logger }

func (l logger) Infof(f string, a ...any)  { l.log.Debug("log store: " + fmt.Sprintf(f, a...)) }
func (l logger) Errorf(f string, a ...any) { l.log.Error("log store: " + fmt.Sprintf(f, a...)) }

// Fatalf must not return: Pebble cannot go on, for one because it cannot write.
func (l logger) Fatalf(f string, a ...any) { panic("log store: " + fmt.Sprintf(f, a...)) }
