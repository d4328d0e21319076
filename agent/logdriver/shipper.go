package logdriver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/fsnotify/fsnotify"

	"github.com/berth/berth/state"
)

// Target is the stream that a container's output goes to.
type Target = state.LogTarget

// Event is one line.
type Event = state.LogEvent

// Sink keeps lines. Its methods may be called by many goroutines.
type Sink interface {
	// Open makes the stream, and the group where the target says so. It is no
	// error that they exist. Errors carry the text for stoppedReason: "failed to
	// create Cloudwatch log stream: ResourceNotFoundException: The specified log
	// group does not exist."
	Open(ctx context.Context, t Target) error
	// Cursor returns the next of the last Put of the source, 0 where there was none.
	Cursor(ctx context.Context, t Target, source string) (int64, error)
	// Put stores the events and the source's new cursor together, durably.
	// An error with the code ResourceNotFoundException says that group or stream
	// are gone; others are worth another try.
	Put(ctx context.Context, t Target, source string, events []Event, next int64) error
}

// Forgetter is a Sink that wants to know when a source's last line is stored and
// its file removed.
type Forgetter interface{ Forget(source string) }

// Shipper follows the files of running containers.
type Shipper struct {
	sink  Sink
	log   *slog.Logger
	watch *fsnotify.Watcher
	ctx   context.Context // of the followers; ends with Close
	stop  context.CancelFunc
	wg    sync.WaitGroup

	mu        sync.Mutex
	followers map[string]*follower // by container ID
	paths     map[string]*follower // by file
	dirs      map[string]int       // followers in a watched directory
}

// New makes a shipper that follows nothing yet. It fails where the host has no
// inotify instance left (fs.inotify.max_user_instances).
func New(sink Sink, log *slog.Logger) (*Shipper, error) {
	w, err := fsnotify.NewBufferedWatcher(64)
	if err != nil {
		return nil, fmt.Errorf("make an inotify instance to follow containers' output (see fs.inotify.max_user_instances): %w", err)
	}
	s := &Shipper{
		sink: sink, log: log, watch: w,
		followers: map[string]*follower{}, paths: map[string]*follower{}, dirs: map[string]int{},
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.wg.Go(s.wake)
	return s, nil
}

// Follow starts to ship the container's file, or goes on where an earlier
// process was. A nil target throws the output away and gives the disk space back.
// Following a container that is followed does nothing. The file's directory must
// exist, the file need not: its container has then not started, and the target
// is opened first.
func (s *Shipper) Follow(id, path string, target *Target) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if s.following(id) != nil {
		return nil
	}
	opened := false
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) && target != nil {
		if err := s.sink.Open(s.ctx, *target); err != nil {
			return err
		}
		opened = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.followers[id] != nil {
		return nil
	}
	if s.ctx.Err() != nil {
		return errors.New("follow a container's output: the shipper is closed")
	}
	dir := filepath.Dir(path)
	if s.dirs[dir] == 0 {
		if err := s.watch.Add(dir); err != nil {
			return fmt.Errorf("watch %s for a container's output (see fs.inotify.max_user_watches): %w", dir, err)
		}
	}
	s.dirs[dir]++
	f := newFollower(s, id, path, target)
	f.opened = opened
	s.followers[id], s.paths[path] = f, f
	s.wg.Go(func() { f.run(s.ctx) })
	return nil
}

// Finish ships the rest of an exited container's output, an unfinished last
// line included, and removes the file. It returns when that is done, or with
// ctx, in which case the shipping goes on. It does nothing for a container that
// is not followed.
func (s *Shipper) Finish(ctx context.Context, id string) error {
	f := s.following(id)
	if f == nil {
		return nil
	}
	f.finish()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return fmt.Errorf("ship the last output of container %s: %w", id, ctx.Err())
	}
}

// Close stops following. Files stay for the next process.
func (s *Shipper) Close() error {
	s.stop()
	err := s.watch.Close()
	s.wg.Wait()
	return err
}

func (s *Shipper) following(id string) *follower {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.followers[id]
}

// forget is a follower's last act.
func (s *Shipper) forget(f *follower) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.followers, f.id)
	delete(s.paths, f.path)
	dir := filepath.Dir(f.path)
	if s.dirs[dir]--; s.dirs[dir] == 0 {
		delete(s.dirs, dir)
		// The directory may be gone, and the watch with it.
		if err := s.watch.Remove(dir); err != nil && !errors.Is(err, fsnotify.ErrNonExistentWatch) && !errors.Is(err, fsnotify.ErrClosed) {
			s.log.Warn("stop watching a directory of containers' output", "dir", dir, "err", err)
		}
	}
}

// wake passes inotify's events on to the followers.
func (s *Shipper) wake() {
	for {
		select {
		case e, ok := <-s.watch.Events:
			if !ok {
				return
			}
			s.mu.Lock()
			f := s.paths[e.Name]
			s.mu.Unlock()
			if f != nil {
				f.wake()
			}
		case err, ok := <-s.watch.Errors:
			if !ok {
				return
			}
			// Events were lost: everybody looks.
			s.log.Warn("watch containers' output", "err", err)
			s.mu.Lock()
			for _, f := range s.followers {
				f.wake()
			}
			s.mu.Unlock()
		}
	}
}
