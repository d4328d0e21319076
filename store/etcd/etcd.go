// Package etcd is the store engine of an installation: etcd, as a single member
// inside the process. It listens nowhere: its client is a call away, and the
// data directory is locked against other processes.
//
// Each commit is in etcd's log and synced (fdatasync) before Commit returns.
// Old revisions are compacted away as commits come, so that the database file
// stays about as large as its records; what it could give back to the file
// system is given back at the next start.
package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/berth/berth/internal/disk"
	"github.com/berth/berth/store"
)

const (
	prefix = "/berth/v1/"
	// quota is the most that etcd's documentation advises for its database
	// ("Storage size limit"), in bytes.
	quota = 8 << 30
	// keep is how many revisions are kept for watches that lag; older ones are
	// compacted away when there are compactEvery more.
	keep         = 1000
	compactEvery = 2000
	// reserve is how many bytes must be free on the disk for a commit: the next
	// segment of etcd's log (64 MiB, taken ahead of its use) and some for its
	// database to grow by.
	reserve = 96 << 20
	// loadPage is how many records are read at once at start.
	loadPage = 5000
	// readyWithin bounds the start: replaying the log of a crashed member may
	// take a while on a slow disk.
	readyWithin = 2 * time.Minute
)

// Config is what Open needs.
type Config struct {
	// Dir is the engine's own directory. It is made when it is not there.
	Dir string
	Log *slog.Logger
}

// Backend is the engine.
type Backend struct {
	server  *embed.Etcd
	client  *clientv3.Client
	dir     string
	log     *slog.Logger
	lock    *os.File
	reserve uint64 // as the constant, but in tests

	compacted atomic.Int64 // revisions before it are, or soon will be
	stop      context.CancelFunc
	stopping  context.Context
	behind    sync.WaitGroup // compactions
}

// Open starts the member, and makes its data when the directory is new.
func Open(ctx context.Context, cfg Config) (*Backend, error) {
	b, err := open(ctx, cfg, embedded(cfg))
	if err != nil {
		return nil, fmt.Errorf("start etcd on %s: %w", cfg.Dir, err)
	}
	return b, nil
}

// embedded is the member's configuration.
func embedded(cfg Config) *embed.Config {
	c := embed.NewConfig()
	c.Name = "berth"
	c.Dir = cfg.Dir
	// It has a name for its peers and clients, and none of either.
	c.ListenPeerUrls, c.AdvertisePeerUrls = nil, []url.URL{{Scheme: "http", Host: "berth.invalid:2380"}}
	c.ListenClientUrls, c.AdvertiseClientUrls = nil, []url.URL{{Scheme: "http", Host: "berth.invalid:2379"}}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	c.QuotaBackendBytes = quota
	// The store's largest batch fits well, see package store.
	c.MaxTxnOps = 1 << 14
	c.MaxRequestBytes = 10 << 20
	// The log of commits is also in memory, back to the last snapshot and then
	// for peers that lag, of which there are none.
	c.SnapshotCount, c.SnapshotCatchUpEntries = 2000, 100
	c.MaxSnapFiles, c.MaxWalFiles = 2, 2
	// It elects itself after this time, and does nothing else by this clock.
	c.TickMs, c.ElectionMs = 50, 250
	// The file is rewritten at start when that gives back so much.
	c.BootstrapDefragThresholdMegabytes = 128
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.New(&bridge{log: cfg.Log.With("part", "etcd")}))
	return c
}

func open(ctx context.Context, cfg Config, c *embed.Config) (*Backend, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	b := &Backend{dir: cfg.Dir, log: cfg.Log, reserve: reserve}
	b.stopping, b.stop = context.WithCancel(context.Background())
	var err error
	if b.lock, err = lock(cfg.Dir); err != nil {
		return nil, err
	}
	if err = removeCutOff(cfg.Dir); err == nil {
		b.server, err = embed.StartEtcd(c)
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	late := time.NewTimer(readyWithin)
	defer late.Stop()
	select {
	case <-b.server.Server.ReadyNotify():
	case err = <-b.server.Err():
	case <-b.server.Server.StopNotify():
		err = errors.New("it stopped")
	case <-late.C:
		err = fmt.Errorf("it isn't ready after %v", readyWithin)
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err == nil {
		b.client = v3client.New(b.server.Server)
		err = b.makeRoom(ctx)
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// lock keeps other processes from the directory. etcd itself would wait for as
// long as another process has its files open.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.New("another process is using it: stop that one, or use another data directory")
	}
	return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
}

// makeRoom ends the state in which etcd takes no more writes, if it is in it and
// there is room by now.
func (b *Backend) makeRoom(ctx context.Context) error {
	alarms, err := b.client.AlarmList(ctx)
	if err != nil || len(alarms.Alarms) == 0 {
		return err
	}
	head, err := b.client.Get(ctx, prefix)
	if err != nil {
		return err
	}
	if _, err := b.client.Compact(ctx, head.Header.Revision, clientv3.WithCompactPhysical()); err != nil && !errors.Is(err, rpctypes.ErrCompacted) {
		return fmt.Errorf("compact: %w", err)
	}
	if err := b.server.Server.Backend().Defrag(); err != nil {
		return fmt.Errorf("defragment: %w", err)
	}
	if size := b.server.Server.Backend().Size(); size > quota*9/10 {
		return fmt.Errorf("it holds %d MiB of records and may hold %d: give it less to keep", size>>20, quota>>20)
	}
	_, err = b.client.AlarmDisarm(ctx, &clientv3.AlarmMember{})
	b.log.Warn("the store was full; there is room again", "err", err)
	return err
}

// Load implements store.Backend.
func (b *Backend) Load(ctx context.Context, each func(path string, value []byte, rev int64) error) (int64, error) {
	var rev int64
	for from := prefix; ; {
		opts := []clientv3.OpOption{clientv3.WithRange(clientv3.GetPrefixRangeEnd(prefix)), clientv3.WithLimit(loadPage)}
		if rev != 0 {
			opts = append(opts, clientv3.WithRev(rev))
		}
		resp, err := b.client.Get(ctx, from, opts...)
		if err != nil {
			return 0, err
		}
		if rev == 0 {
			rev = resp.Header.Revision
		}
		for _, kv := range resp.Kvs {
			if err := each(string(kv.Key), kv.Value, kv.ModRevision); err != nil {
				return 0, err
			}
		}
		if !resp.More {
			return rev, nil
		}
		from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	}
}

// Commit implements store.Backend. A proposal that etcd gave up waiting for is in
// its log before any later one, or was dropped: so doubt ends with the next
// commit, as the store wants it.
func (b *Backend) Commit(ctx context.Context, guards []store.Guard, ops []store.Op) (int64, error) {
	// etcd ends the process when it can't write: so it doesn't get to that.
	if err := disk.Room(b.dir, b.reserve); err != nil {
		return 0, err
	}
	compares := make([]clientv3.Cmp, 0, len(guards))
	for _, g := range guards {
		compares = append(compares, clientv3.Compare(clientv3.ModRevision(g.Path), "=", g.Rev))
	}
	writes := make([]clientv3.Op, 0, len(ops))
	for _, op := range ops {
		if op.Value == nil {
			writes = append(writes, clientv3.OpDelete(op.Path))
		} else {
			writes = append(writes, clientv3.OpPut(op.Path, string(op.Value)))
		}
	}
	resp, err := b.client.Txn(ctx).If(compares...).Then(writes...).Commit()
	switch {
	case errors.Is(err, rpctypes.ErrNoSpace):
		return 0, fmt.Errorf("the store's database in %s has reached its limit of %d GiB and takes no more writes: restart to give unused space back: %w", b.dir, quota>>30, err)
	case err != nil && refused(err):
		return 0, err
	case err != nil:
		return 0, fmt.Errorf("%w: %w: see that the disk of %s is well and has room", store.ErrUnknown, err, b.dir)
	case !resp.Succeeded:
		return 0, store.ErrConflict
	}
	rev := resp.Header.Revision
	if last := b.compacted.Load(); rev-last >= keep+compactEvery && b.compacted.CompareAndSwap(last, rev-keep) {
		b.behind.Go(func() { b.compact(rev - keep) })
	}
	return rev, nil
}

// refused reports whether an error says that nothing was written.
func refused(err error) bool {
	for _, e := range []error{
		rpctypes.ErrRequestTooLarge, rpctypes.ErrTooManyOps, rpctypes.ErrTooManyRequests,
		rpctypes.ErrDuplicateKey, rpctypes.ErrEmptyKey, rpctypes.ErrCorrupt,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// compact forgets revisions before rev: the space in the file is used again.
func (b *Backend) compact(rev int64) {
	_, err := b.client.Compact(b.stopping, rev)
	if err != nil && b.stopping.Err() == nil && !errors.Is(err, rpctypes.ErrCompacted) {
		b.log.Warn("compact the store", "revision", rev, "err", err)
	}
}

// Watch implements store.Backend.
func (b *Backend) Watch(ctx context.Context, rev int64, changed func(rev int64, changes []store.Change)) error {
	for resp := range b.client.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(rev+1)) {
		if err := resp.Err(); err != nil {
			return fmt.Errorf("watch the store: %w", err)
		}
		// One response may hold several commits, and never a part of one.
		for events := resp.Events; len(events) > 0; {
			at := events[0].Kv.ModRevision
			var changes []store.Change
			for len(events) > 0 && events[0].Kv.ModRevision == at {
				c := store.Change{Path: string(events[0].Kv.Key)}
				if events[0].Type == mvccpb.PUT {
					c.Value = events[0].Kv.Value
				}
				changes, events = append(changes, c), events[1:]
			}
			changed(at, changes)
		}
	}
	return ctx.Err()
}

// Close implements store.Backend.
func (b *Backend) Close() error {
	b.stop()
	b.behind.Wait()
	if b.client != nil {
		b.client.Close() // what it returns is that it was closed
	}
	if b.server != nil {
		b.server.Close()
	}
	return b.lock.Close()
}
