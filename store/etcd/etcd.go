// Package etcd is the store engine of an installation: etcd, as a single
// member inside the process. It listens nowhere: its client is a call away.
package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"

	"github.com/berth/berth/store"
)

const (
	prefix = "/berth/v1/"
	// quota is what etcd's own documentation advises at most.
	quota = 8 << 30
	// keep is how many revisions are kept for watches that lag; older ones are
	// compacted away every compactEvery commits.
	keep         = 1000
	compactEvery = 5000
	// loadPage is how many records are read at once at start.
	loadPage = 5000
	// readyWithin bounds the start: replaying the log of a crashed member may
	// take a while on a slow disk.
	readyWithin = 2 * time.Minute
)

// Config is what Open needs.
type Config struct {
	Dir string
	Log *slog.Logger
}

// Backend is the engine.
type Backend struct {
	server  *embed.Etcd
	client  *clientv3.Client
	log     *slog.Logger
	sockets string
	commits int64 // since the last compaction; only Commit touches it
}

// Open starts the member, and makes its data when the directory is new. The
// directory must not be in use by another process.
func Open(ctx context.Context, cfg Config) (*Backend, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the store's directory: %w", err)
	}
	// etcd wants to listen somewhere: on sockets that only this process's user
	// can open, in a directory that is removed again. A unix socket's path is
	// short by the kernel's rule, so it can't be in the data directory.
	sockets, err := os.MkdirTemp("", "berth-etcd-")
	if err != nil {
		return nil, err
	}
	c := embed.NewConfig()
	c.Name = "berth"
	c.Dir = cfg.Dir
	peer := url.URL{Scheme: "unix", Path: filepath.Join(sockets, "peer")}
	client := url.URL{Scheme: "unix", Path: filepath.Join(sockets, "client")}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{peer}, []url.URL{{Scheme: "http", Host: "berth.invalid:2380"}}
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{client}, []url.URL{{Scheme: "http", Host: "berth.invalid:2379"}}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	c.QuotaBackendBytes = quota
	c.MaxTxnOps = 1 << 14
	c.MaxRequestBytes = 8 << 20
	c.SnapshotCount = 5000
	c.TickMs, c.ElectionMs = 10, 100
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.New(&bridge{log: cfg.Log.With("part", "etcd")}))
	server, err := embed.StartEtcd(c)
	if err != nil {
		os.RemoveAll(sockets)
		return nil, fmt.Errorf("start etcd on %s: %w", cfg.Dir, err)
	}
	b := &Backend{server: server, log: cfg.Log, sockets: sockets}
	late := time.NewTimer(readyWithin)
	defer late.Stop()
	select {
	case <-server.Server.ReadyNotify():
	case err = <-server.Err():
	case <-server.Server.StopNotify():
		err = errors.New("it stopped")
	case <-late.C:
		err = fmt.Errorf("it isn't ready after %v", readyWithin)
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		b.stop()
		return nil, fmt.Errorf("start etcd on %s: %w", cfg.Dir, err)
	}
	b.client = v3client.New(server.Server)
	return b, nil
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

// Commit implements store.Backend.
func (b *Backend) Commit(ctx context.Context, guards []store.Guard, ops []store.Op) (int64, error) {
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
		return 0, fmt.Errorf("the store has reached its %d GiB: delete what is not needed, then restart: %w", quota>>30, err)
	case err != nil:
		return 0, err
	case !resp.Succeeded:
		return 0, store.ErrConflict
	}
	if b.commits++; b.commits%compactEvery == 0 && resp.Header.Revision > keep {
		go b.compact(resp.Header.Revision - keep)
	}
	return resp.Header.Revision, nil
}

// compact forgets old revisions, so that the file doesn't grow with each write:
// the space is used again.
func (b *Backend) compact(rev int64) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := b.client.Compact(ctx, rev); err != nil && !errors.Is(err, rpctypes.ErrCompacted) {
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
	// Closing a client that has no connection says that its context has ended.
	err := b.client.Close()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	b.stop()
	return err
}

func (b *Backend) stop() {
	b.server.Close()
	os.RemoveAll(b.sockets)
}
