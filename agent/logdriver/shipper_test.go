package logdriver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/smithy-go"
	"go.uber.org/goleak"
)

// memory is a sink that keeps events in memory.
type memory struct {
	mu      sync.Mutex
	lines   []string
	cursors map[string]int64
	opened  int
	fail    error         // of Put
	puts    chan struct{} // one token for each Put, whatever came of it
}

func newMemory() *memory {
	return &memory{cursors: map[string]int64{}, puts: make(chan struct{}, 100_000)}
}

func (m *memory) Open(context.Context, Target) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opened++
	return nil
}

func (m *memory) Cursor(_ context.Context, _ Target, source string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cursors[source], nil
}

func (m *memory) Put(_ context.Context, _ Target, source string, events []Event, next int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer func() { m.puts <- struct{}{} }()
	if m.fail != nil {
		return m.fail
	}
	if next <= m.cursors[source] {
		return nil
	}
	for _, e := range events {
		m.lines = append(m.lines, e.Message)
	}
	m.cursors[source] = next
	return nil
}

func (m *memory) set(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

func (m *memory) got() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.lines)
}

func shipper(t *testing.T, sink Sink) *Shipper {
	t.Helper()
	s, err := New(sink, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closed(t *testing.T, s *Shipper) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func finished(t *testing.T, s *Shipper, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.Finish(ctx, id); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string, lines ...string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, l := range lines {
		if _, err := f.WriteString(time.Now().Format(time.RFC3339Nano) + " " + l); err != nil {
			t.Fatal(err)
		}
	}
}

// puts waits for so many.
func (m *memory) wait(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case <-m.puts:
		case <-time.After(time.Minute):
			t.Fatalf("no put for a minute; the sink has %q", m.got())
		}
	}
}

func want(t *testing.T, m *memory, lines ...string) {
	t.Helper()
	if got := m.got(); !slices.Equal(got, lines) {
		t.Fatalf("the sink has %q, want %q", got, lines)
	}
}

func TestFollowFinish(t *testing.T) {
	defer goleak.VerifyNone(t)
	m := newMemory()
	s := shipper(t, m)
	path := filepath.Join(t.TempDir(), "out")
	for range 2 { // the file is not there yet
		if err := s.Follow("c", path, &Target{Group: "g", Stream: "s"}); err != nil {
			t.Fatal(err)
		}
	}
	write(t, path, "stdout F one\n")
	m.wait(t, 1)
	want(t, m, "one")
	// A partial line waits, and the other stream passes it.
	write(t, path, "stdout P tw\n", "stderr F err\n")
	m.wait(t, 1)
	want(t, m, "one", "err")
	write(t, path, "stdout F o\n")
	m.wait(t, 1)
	write(t, path, "stdout P no end\n", "stdout F", "")
	closed(t, s)

	// The next process goes on, and ends it.
	s = shipper(t, m)
	if err := s.Follow("c", path, &Target{Group: "g", Stream: "s"}); err != nil {
		t.Fatal(err)
	}
	write(t, path, "\n", "stderr P last\n")
	finished(t, s, "c")
	got := m.got()
	if len(got) < 5 || !slices.Equal(got[:3], []string{"one", "err", "two"}) || got[len(got)-1] != "last" || !strings.Contains(strings.Join(got, "|"), "no end") {
		t.Fatalf("the sink has %q", got)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is left: %v", err)
	}
	finished(t, s, "c")
	finished(t, s, "never seen")
	closed(t, s)
	if m.opened != 2 {
		t.Errorf("the target was opened %d times, want once a process", m.opened)
	}
}

// A kill between the last Put and the removal of the file ships nothing twice.
func TestFinishAgain(t *testing.T) {
	m := newMemory()
	path := filepath.Join(t.TempDir(), "out")
	for range 2 {
		s := shipper(t, m)
		if err := os.WriteFile(path, []byte("2026-01-01T00:00:00Z stdout P a\n2026-01-01T00:00:00Z stderr F b\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.Follow("c", path, &Target{}); err != nil {
			t.Fatal(err)
		}
		finished(t, s, "c")
		closed(t, s)
		want(t, m, "b", "a")
	}
}

func TestSinkFails(t *testing.T) {
	m := newMemory()
	s := shipper(t, m)
	defer closed(t, s)
	path := filepath.Join(t.TempDir(), "out")
	write(t, path, "stdout F one\n")
	m.set(errors.New("no space"))
	if err := s.Follow("c", path, &Target{}); err != nil {
		t.Fatal(err)
	}
	m.wait(t, 2) // tried again
	m.set(nil)
	m.wait(t, 1)
	want(t, m, "one")
	// Gone: what comes meanwhile is dropped.
	m.set(fmt.Errorf("put: %w", &smithy.GenericAPIError{Code: "ResourceNotFoundException"}))
	write(t, path, "stdout F two\n")
	m.wait(t, 1)
	m.set(nil)
	write(t, path, "stdout F three\n")
	m.wait(t, 1)
	finished(t, s, "c")
	want(t, m, "one", "three")
}

func TestTargetThatCannotBeOpened(t *testing.T) {
	m := failingOpen{newMemory()}
	s := shipper(t, m)
	defer closed(t, s)
	path := filepath.Join(t.TempDir(), "out")
	if err := s.Follow("c", path, &Target{}); err == nil || err.Error() != "no" {
		t.Errorf("follow: %v", err)
	}
	if err := s.Follow("d", filepath.Join(t.TempDir(), "none", "out"), nil); err == nil || !strings.Contains(err.Error(), "max_user_watches") {
		t.Errorf("no directory: %v", err)
	}
}

type failingOpen struct{ *memory }

func (failingOpen) Open(context.Context, Target) error { return errors.New("no") }

// blocks is the disk space that a file takes, in bytes.
func blocks(t *testing.T, path string) int64 {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}

func TestSpaceComesBack(t *testing.T) {
	m := newMemory()
	path := filepath.Join(t.TempDir(), "out")
	text := "stdout F " + strings.Repeat("x", 1000) + "\n"
	var sent int
	s := shipper(t, m)
	for round := range 3 {
		if err := s.Follow("c", path, &Target{}); err != nil {
			t.Fatal(err)
		}
		for range 2000 {
			write(t, path, text)
			sent++
		}
		for len(m.got()) < sent {
			m.wait(t, 1)
		}
		closed(t, s) // the hole is made before the follower ends
		if b := blocks(t, path); b > punchStep+readSize+1<<16 {
			t.Errorf("round %d: %d bytes are still on disk", round, b)
		}
		s = shipper(t, m)
	}
	if err := s.Follow("c", path, &Target{}); err != nil {
		t.Fatal(err)
	}
	finished(t, s, "c")
	if got := len(m.got()); got != sent {
		t.Errorf("%d lines, want %d", got, sent)
	}
	closed(t, s)
}

// What conmon would not write is shipped as it is, with a time that is near.
func TestStrayBytes(t *testing.T) {
	var j joiner
	got := j.flush(j.add(nil, []byte("no\xffise"), 0, 7), 8)
	if len(got) != 1 || got[0].Message != "no\uFFFDise" || time.Since(got[0].Time) > time.Hour {
		t.Errorf("%+v", got)
	}
}

func TestOutputWithoutTarget(t *testing.T) {
	m := newMemory()
	s := shipper(t, m)
	path := filepath.Join(t.TempDir(), "out")
	if err := s.Follow("c", path, nil); err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		write(t, path, "stdout F "+strings.Repeat("x", 1000)+"\n")
	}
	closed(t, s)
	s = shipper(t, m) // looks at the file when it begins
	if err := s.Follow("c", path, nil); err != nil {
		t.Fatal(err)
	}
	finished(t, s, "c")
	closed(t, s)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is left: %v", err)
	}
	want(t, m)
}
