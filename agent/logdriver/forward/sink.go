package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/agent/logdriver"
	"github.com/berth/berth/internal/wholefile"
	"github.com/berth/berth/state"
)

// Sink sends each container's lines where its target says.
type Sink struct {
	next logdriver.Sink
	dir  string
	log  *slog.Logger

	mu    sync.Mutex
	conns map[string]*conn // by container ID
}

// conn is a container's driver.
type conn struct {
	mu sync.Mutex // one batch at a time
	w  driver     // nil until it was opened, and after an error
}

// driver takes lines somewhere.
type driver interface {
	write(events []state.LogEvent) error
	close() error
}

var _ logdriver.Sink = (*Sink)(nil)

// New returns a sink that keeps its files in dir. Targets without another driver
// go to next.
func New(next logdriver.Sink, dir string, log *slog.Logger) (*Sink, error) {
	s := &Sink{next: next, dir: dir, log: log, conns: map[string]*conn{}}
	for _, d := range []string{s.cursors(), s.json()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("make the log drivers' directories: %w", err)
		}
	}
	s.tidy(time.Now())
	return s, nil
}

func (s *Sink) cursors() string { return filepath.Join(s.dir, "cursors") }
func (s *Sink) json() string    { return filepath.Join(s.dir, "json") }

// Open connects, so that a destination that can't be reached is a reason not to
// start the container, as with Docker.
func (s *Sink) Open(ctx context.Context, t logdriver.Target) error {
	if t.Other == nil {
		return s.next.Open(ctx, t)
	}
	if t.Other.Options["fluentd-async"] == "true" {
		return nil // it may come up later
	}
	if err := s.with(t, t.Other.Source.ContainerID, func(driver) error { return nil }); err != nil {
		return fmt.Errorf("failed to initialize logging driver: %w", err)
	}
	return nil
}

// Cursor returns how far the container's lines have gone.
func (s *Sink) Cursor(ctx context.Context, t logdriver.Target, source string) (int64, error) {
	if t.Other == nil {
		return s.next.Cursor(ctx, t, source)
	}
	var at int64
	if _, err := wholefile.ReadJSON(filepath.Join(s.cursors(), source), &at); err != nil {
		// Cut off with the host, which took the containers with it.
		s.log.Warn("a container's log lines are sent again", "container", source, "err", err)
	}
	return at, nil
}

// Put sends the lines and notes how far they have gone.
func (s *Sink) Put(ctx context.Context, t logdriver.Target, source string, events []state.LogEvent, next int64) error {
	if t.Other == nil {
		return s.next.Put(ctx, t, source, events, next)
	}
	if err := s.with(t, source, func(d driver) error { return d.write(events) }); err != nil {
		return fmt.Errorf("send to log driver %s: %w", t.Other.Name, err)
	}
	return wholefile.WriteJSON(filepath.Join(s.cursors(), source), next)
}

// with calls f with the container's driver, which it opens first if need be.
func (s *Sink) with(t logdriver.Target, source string, f func(driver) error) error {
	s.mu.Lock()
	c := s.conns[source]
	if c == nil {
		c = &conn{}
		s.conns[source] = c
	}
	s.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.w == nil {
		w, err := s.open(t.Other)
		if err != nil {
			return err
		}
		c.w = w
	}
	if err := f(c.w); err != nil {
		c.w.close() // the next try begins anew
		c.w = nil
		return err
	}
	return nil
}

func (s *Sink) open(d *state.LogDriver) (driver, error) {
	m, err := newMessage(d)
	if err != nil {
		return nil, err
	}
	switch d.Name {
	case types.LogDriverJsonFile:
		return openJSONFile(m, filepath.Join(s.json(), d.Source.ContainerID))
	case types.LogDriverSyslog:
		return openSyslog(m)
	case types.LogDriverFluentd, types.LogDriverAwsfirelens:
		return openFluentd(m)
	case types.LogDriverGelf:
		return openGelf(m)
	case types.LogDriverJournald:
		return openJournald(m)
	}
	return nil, fmt.Errorf("there is no log driver %q", d.Name)
}

// Forget lets go of a container whose last line has gone.
func (s *Sink) Forget(source string) {
	s.mu.Lock()
	c := s.conns[source]
	delete(s.conns, source)
	s.mu.Unlock()
	if c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.w != nil {
			c.w.close()
		}
	}
	if err := os.Remove(filepath.Join(s.cursors(), source)); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.log.Warn("remove a container's log cursor", "container", source, "err", err)
	}
	s.tidy(time.Now())
}

// keep is how long json-file's files stay after their last line.
const keep = 3 * time.Hour

// tidy removes the files of json-file whose time is over.
func (s *Sink) tidy(now time.Time) {
	dirs, err := os.ReadDir(s.json())
	if err != nil {
		s.log.Warn("look for json-file logs", "err", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range dirs {
		written, err := os.Stat(filepath.Join(s.json(), d.Name(), d.Name()+"-json.log"))
		if s.conns[d.Name()] != nil || err == nil && now.Sub(written.ModTime()) < keep || exists(filepath.Join(s.cursors(), d.Name())) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(s.json(), d.Name())); err != nil {
			s.log.Warn("remove the json-file log of a container that is gone", "container", d.Name(), "err", err)
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// Close ends the connections. What hasn't been sent is by the next process.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, c := range s.conns {
		c.mu.Lock()
		if c.w != nil {
			errs = append(errs, c.w.close())
			c.w = nil
		}
		c.mu.Unlock()
	}
	return errors.Join(errs...)
}
