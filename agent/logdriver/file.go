package logdriver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// open opens the file and finds where to go on. The file must be there.
func (f *follower) open(ctx context.Context) error {
	file, err := os.OpenFile(f.path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open a container's output: %w", err)
	}
	begin, err := firstByte(file)
	if err == nil && f.target != nil {
		f.cursor, err = f.resume(ctx)
	}
	if err != nil {
		file.Close()
		return err
	}
	f.file, f.begin, f.next = file, begin, begin
	return nil
}

func (f *follower) close() {
	if f.file != nil {
		f.file.Close()
	}
}

// resume returns what the sink has. For a container that was there before this
// process, it makes the stream anew if it is gone; a target that cannot be made
// is then no reason to stop: deliver says what happens to the lines.
func (f *follower) resume(ctx context.Context) (int64, error) {
	if !f.opened {
		if err := f.s.sink.Open(ctx, *f.target); gone(err) {
			f.log.Error("open a running container's log stream", "err", err)
		} else if err != nil {
			return 0, err
		}
	}
	at, err := f.s.sink.Cursor(ctx, *f.target, f.id)
	if gone(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("ask how much of a container's output is stored: %w", err)
	}
	return at, nil
}

// firstByte returns the offset of the first byte that was not given back: what
// was reads as zeros, and no line begins with one.
func firstByte(file *os.File) (int64, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, fmt.Errorf("look at a container's output: %w", err)
	}
	at, err := unix.Seek(int(file.Fd()), 0, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		return info.Size(), nil // all of it is a hole
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP):
		at = 0 // the file system knows no holes
	case err != nil:
		return 0, fmt.Errorf("find the first line of a container's output: %w", err)
	}
	b := make([]byte, 4096)
	for {
		n, err := file.ReadAt(b, at)
		for i, c := range b[:n] {
			if c != 0 {
				return at + int64(i), nil
			}
		}
		at += int64(n)
		if err == io.EOF {
			return at, nil
		}
		if err != nil {
			return 0, fmt.Errorf("read a container's output: %w", err)
		}
	}
}

// punch gives the space before the offset back, when it is worth a call.
func (f *follower) punch(before int64) error {
	if f.keeps || before-f.begin < punchStep {
		return nil
	}
	err := unix.Fallocate(int(f.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, before)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		f.keeps = true
		f.log.Warn("the file system cannot give space of a file back: the container's output stays until it ends", "file", f.path)
		return nil
	}
	if err != nil {
		return fmt.Errorf("give the space of shipped output back: %w", err)
	}
	f.begin = before
	return nil
}

// discard gives all of the file back.
func (f *follower) discard() error {
	info, err := f.file.Stat()
	if err != nil {
		return fmt.Errorf("look at a container's output: %w", err)
	}
	return f.punch(info.Size())
}
