package images

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/containerd/v2/plugins/snapshots/native"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay/overlayutils"
	"github.com/containerd/errdefs"
	containerdlog "github.com/containerd/log"
	bolt "go.etcd.io/bbolt"
	"golang.org/x/sync/semaphore"

	"github.com/berth/berth/internal/keylock"
)

// namespace is containerd's word for a partition of its metadata. The store is
// ours alone, so there is one.
const namespace = "berth"

// gcRoot is the label of what is kept though nothing refers to it.
const gcRoot = "containerd.io/gc.root"

// lockTimeout is how long Open waits for a process that is just letting go of
// the same directory.
const lockTimeout = 5 * time.Second

// Store is an image store. It implements runtime.Images.
type Store struct {
	log     *slog.Logger
	dir     string
	reg     Registries
	bolt    *bolt.DB
	db      *metadata.DB
	leases  leases.Manager
	snapKey string // which snapshotter
	snaps   snapshots.Snapshotter
	raw     snapshots.Snapshotter
	refs    keylock.Locks
	blobs   blobLocks
	fetches *semaphore.Weighted
	pulls   pulls
	cut     cut
	uses    uses
	last    lastPulls
	bases   bases

	collect chan struct{}   // asks for a collection; holds at most one request
	running context.Context // ends with Close
	stop    context.CancelFunc
	stopped chan struct{}
	lazy    lazies
}

// bases are what containers run on.
type bases struct {
	mu    sync.Mutex
	known map[string]Base
	uses  map[string]int  // by ID, how many containers
	named map[string]bool // by ID: is of an image that was present at the last look
	taken bool            // uses has those of the processes before
}

// overlayKey is the name of the snapshotter whose layers make an overlay.
const overlayKey = "overlayfs"

// Open opens the store in a directory, which it makes if need be. It fails if
// another process has it open.
func Open(ctx context.Context, dir string, reg Registries, log *slog.Logger) (_ *Store, err error) {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, fmt.Errorf("make the image store's directory: %w", err)
	}
	// containerd's libraries write to a logger of their own. What of it matters
	// comes back as errors, but for warnings of what a host lacks and we don't need.
	if err := containerdlog.SetLevel("error"); err != nil {
		return nil, err
	}
	content, err := local.NewStore(filepath.Join(dir, "content"))
	if err != nil {
		return nil, fmt.Errorf("open the content store in %s: %w", dir, err)
	}
	db, err := bolt.Open(filepath.Join(dir, "meta.db"), 0o600, &bolt.Options{Timeout: lockTimeout})
	if errors.Is(err, bolt.ErrTimeout) {
		return nil, fmt.Errorf("open the image store in %s: another process uses it", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("open the image store in %s: %w", dir, err)
	}
	s := &Store{
		log: log, dir: dir, reg: reg, bolt: db, collect: make(chan struct{}, 1), stopped: make(chan struct{}),
		fetches: semaphore.NewWeighted(parallel), blobs: blobLocks{held: map[string]func(){}}, pulls: pulls{all: map[*pulling]bool{}},
		uses: uses{last: map[string]time.Time{}, open: time.Now()}, last: lastPulls{of: map[string]lastPull{}},
		bases: bases{known: map[string]Base{}, uses: map[string]int{}},
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	// Layers are unpacked on mounts of their own. Those of a process that was
	// killed at it are still there.
	if err := mount.SetTempMountLocation(filepath.Join(dir, "unpacking")); err != nil {
		return nil, fmt.Errorf("make the directory to unpack images in: %w", err)
	}
	if left, err := mount.CleanupTempMounts(0); err != nil || len(left) > 0 {
		log.Warn("an unpacking that was cut off left mounts behind", "dir", dir, "err", errors.Join(append(left, err)...))
	}
	if s.snapKey, s.raw, err = snapshotter(dir, log); err != nil {
		return nil, err
	}
	s.db = metadata.NewDB(db, content, map[string]snapshots.Snapshotter{s.snapKey: s.raw})
	if err := s.db.Init(ctx); err != nil {
		return nil, fmt.Errorf("read the image store in %s: %w", dir, err)
	}
	s.leases = metadata.NewLeaseManager(s.db)
	s.snaps = s.db.Snapshotter(s.snapKey)

	if err := s.takeUpCut(ctx); err != nil {
		return nil, err
	}
	if err := s.doubt(ctx); err != nil {
		return nil, err
	}
	s.running, s.stop = context.WithCancel(context.Background())
	go s.collector(s.running)
	s.Collect()
	return s, nil
}

// snapshotter opens the fastest one that this directory's file system allows.
func snapshotter(dir string, log *slog.Logger) (string, snapshots.Snapshotter, error) {
	path := filepath.Join(dir, overlayKey)
	err := overlayutils.Supported(dir)
	if err == nil {
		s, err := overlay.NewSnapshotter(path, overlay.AsynchronousRemove)
		if err != nil {
			return "", nil, fmt.Errorf("open the snapshots in %s: %w", path, err)
		}
		return overlayKey, s, nil
	}
	log.Warn("the host cannot mount an overlay here, so each container gets a copy of its image; put the data directory on ext4 or xfs",
		"directory", dir, "error", err)
	path = filepath.Join(dir, "native")
	s, err := native.NewSnapshotter(path)
	if err != nil {
		return "", nil, fmt.Errorf("open the snapshots in %s: %w", path, err)
	}
	return "native", s, nil
}

// doubt makes the next collection look through all snapshots. It looks only if
// one was removed in this process, and the one before may have been killed
// between dropping a snapshot from the records and removing its files.
func (s *Store) doubt(ctx context.Context) error {
	const key = "doubt"
	prepare := func() error {
		_, err := s.snaps.Prepare(ns(ctx), key, "")
		if errdefs.IsAlreadyExists(err) {
			return nil
		}
		return err
	}
	err := prepare()
	if c, ok := s.raw.(snapshots.Cleaner); err != nil && ok {
		// A process that was killed while it made a snapshot leaves the directory of
		// the number that is given again now.
		if err = c.Cleanup(ns(ctx)); err == nil {
			err = prepare()
		}
	}
	if err != nil {
		return fmt.Errorf("make a snapshot to be removed: %w", err)
	}
	if err := s.snaps.Remove(ns(ctx), key); err != nil {
		return fmt.Errorf("remove a snapshot: %w", err)
	}
	return nil
}

// Close lets go of the directory. Nothing of it may be in use.
func (s *Store) Close() error {
	s.stop()
	<-s.stopped
	s.lazy.work.Wait()
	return s.close()
}

func (s *Store) close() error {
	var err error
	if s.raw != nil {
		err = s.raw.Close()
	}
	return errors.Join(err, s.bolt.Close())
}

// Collect asks for what nothing keeps to be removed, soon and in the background.
func (s *Store) Collect() {
	select {
	case s.collect <- struct{}{}:
	default: // one is asked for already
	}
}

func (s *Store) collector(ctx context.Context) {
	defer close(s.stopped)
	expired := time.NewTimer(resumeWithin)
	defer expired.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.collect:
		case <-expired.C:
			s.dropCut(ctx)
		}
		if err := s.collectNow(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("could not remove unused image content", "error", err)
		}
	}
}

func (s *Store) collectNow(ctx context.Context) error {
	if err := s.dropBases(ctx); err != nil {
		return err
	}
	if _, err := s.db.GarbageCollect(ns(ctx)); err != nil {
		return fmt.Errorf("collect unused content: %w", err)
	}
	// The collector drops snapshots from the records. Their files go here.
	if c, ok := s.raw.(snapshots.Cleaner); ok {
		if err := c.Cleanup(ns(ctx)); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("remove unused snapshots: %w", err)
		}
	}
	return nil
}

// collectAfter has the room given back that an image took which could not be had,
// once its lease has ended.
func (s *Store) collectAfter(err *error) {
	if *err != nil {
		s.Collect()
	}
}

func ns(ctx context.Context) context.Context { return namespaces.WithNamespace(ctx, namespace) }
