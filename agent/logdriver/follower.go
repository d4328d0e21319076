package logdriver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
	"sync"
	"time"
)

const (
	readSize = 256 << 10 // bytes read at once
	// maxLine bounds a line of the file. conmon's are under 9 KiB.
	maxLine = 1 << 20
	// punchStep is how much is shipped before space is given back.
	punchStep = 256 << 10
)

// follower ships one file. Its goroutine owns all but the channels.
type follower struct {
	s      *Shipper
	id     string
	path   string
	target *Target
	opened bool // Follow has opened the target
	log    *slog.Logger

	changed   chan struct{} // holds one token: look at the file
	finishing chan struct{} // closed: the file will not grow
	finish    func()        // closes finishing, once
	done      chan struct{} // closed when all is shipped and the file removed
	err       error         // of the removal; set before done is closed

	file    *os.File
	cursor  int64 // the sink has all events that end here or before
	next    int64 // offset of the first byte not read
	begin   int64 // bytes before it are a hole
	joiner  joiner
	grouper *grouper // nil: each line is an event
	keeps   bool     // the file system punches no holes
	dropped bool     // the last events were dropped, which has been logged
}

func newFollower(s *Shipper, id, path string, target *Target) *follower {
	f := &follower{
		s: s, id: id, path: path, target: target, log: s.log.With("container", id),
		changed: make(chan struct{}, 1), finishing: make(chan struct{}), done: make(chan struct{}),
	}
	if target != nil && target.Begin != "" {
		f.grouper = &grouper{begin: regexp.MustCompile(target.Begin)}
	}
	f.finish = sync.OnceFunc(func() { close(f.finishing) })
	f.wake()
	return f
}

func (f *follower) wake() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// run follows the file until it is finished or ctx ends. Failures are tried
// again with growing pauses; nothing else ends it.
func (f *follower) run(ctx context.Context) {
	defer f.s.forget(f)
	defer f.close()
	for try := 0; ; {
		last := false
		select {
		case <-ctx.Done():
			return
		case <-f.finishing:
			last = true
		case <-f.changed:
		case <-f.aged(): // an event has waited long enough for more lines
		}
		err := f.ship(ctx, last)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			pause := backoff(try)
			try++
			f.log.Error("ship a container's output", "file", f.path, "retry", pause, "err", err)
			if !sleep(ctx, pause) {
				return
			}
			f.wake()
		case last:
			if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				f.err = fmt.Errorf("remove a container's shipped output: %w", err)
			}
			if s, ok := f.s.sink.(Forgetter); ok && f.target != nil {
				s.Forget(f.id)
			}
			close(f.done)
			return
		default:
			try = 0
		}
	}
}

// ship hands over all complete lines that are there, and with last also what
// is not complete.
func (f *follower) ship(ctx context.Context, last bool) error {
	if f.file == nil {
		if err := f.open(ctx); errors.Is(err, fs.ErrNotExist) {
			return nil // the container has not started; inotify tells when the file is made
		} else if err != nil {
			return err
		}
	}
	if f.target == nil {
		return f.discard()
	}
	pooled := buffers.Get().(*[]byte)
	defer buffers.Put(pooled)
	for buf := *pooled; ; {
		n, err := f.file.ReadAt(buf, f.next)
		if err != nil && err != io.EOF {
			return fmt.Errorf("read a container's output: %w", err)
		}
		atEnd := err == io.EOF
		batch, used := f.lines(buf[:n], nil)
		end := f.next + int64(used)
		if used == 0 && n == len(buf) {
			if n < maxLine {
				buf = make([]byte, maxLine)
				continue
			}
			used, end = n, f.next+int64(n)
			batch = f.joiner.add(batch, buf, f.next, end)
		}
		if atEnd && last {
			if used < n { // cut off in the middle of a line
				end = f.next + int64(n)
				batch = f.joiner.add(batch, buf[used:n], f.next+int64(used), end)
			}
			batch = f.joiner.flush(batch, end+1)
		}
		batch = f.group(batch, atEnd && last)
		if err := f.put(ctx, batch); err != nil {
			return err
		}
		f.next = end
		if err := f.punch(f.earliest(end)); err != nil {
			return err
		}
		if atEnd {
			return nil
		}
	}
}

// group joins the events of lines that belong together. With last, nothing is
// left pending.
func (f *follower) group(lines []shipment, last bool) []shipment {
	g := f.grouper
	if g == nil {
		return lines
	}
	var grouped []shipment
	for _, l := range lines {
		grouped = g.add(grouped, l, f.cursor)
	}
	if last || g.pending() && !time.Now().Before(g.waitsUntil) {
		grouped = g.flush(grouped)
	}
	return grouped
}

// aged tells when what is pending has waited long enough.
func (f *follower) aged() <-chan time.Time {
	if f.grouper == nil || !f.grouper.pending() {
		return nil
	}
	return time.After(time.Until(f.grouper.waitsUntil))
}

func (f *follower) earliest(end int64) int64 {
	end = f.joiner.earliest(end)
	if f.grouper != nil {
		end = f.grouper.earliest(end)
	}
	return end
}

// lines appends the events of the whole lines in b, which begins at f.next, and
// returns how many bytes they have.
func (f *follower) lines(b []byte, to []shipment) ([]shipment, int) {
	used := 0
	for {
		n := bytes.IndexByte(b[used:], '\n')
		if n < 0 {
			return to, used
		}
		start := f.next + int64(used)
		to = f.joiner.add(to, b[used:used+n], start, start+int64(n)+1)
		used += n + 1
	}
}

// buffers are for reading, so that a thousand quiet containers need none.
var buffers = sync.Pool{New: func() any { b := make([]byte, readSize); return &b }}
