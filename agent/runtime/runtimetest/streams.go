package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/berth/berth/agent/runtime"
)

// screen is where a command's output goes: a test can wait for what it says.
type screen struct {
	mu      sync.Mutex
	text    []byte
	changed chan struct{}
	failure error // of each Write
}

func newScreen() *screen { return &screen{changed: make(chan struct{})} }

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		return 0, s.failure
	}
	s.text = append(s.text, p...)
	close(s.changed)
	s.changed = make(chan struct{})
	return len(p), nil
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.text)
}

// says waits until the text is there.
func (s *screen) says(t *testing.T, ctx context.Context, text string) {
	t.Helper()
	for {
		s.mu.Lock()
		said, changed := string(s.text), s.changed
		s.mu.Unlock()
		if strings.Contains(said, text) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("waited for %q, have %q", text, said)
		}
	}
}

// session is a command under way.
type session struct {
	out, err *screen
	in       *io.PipeWriter
	sizes    chan runtime.Size
	ended    chan struct{}
	code     int
	failed   error
}

func (r *suite) open(ctx context.Context, id string, terminal bool, steps ...string) *session {
	in, w := io.Pipe()
	s := &session{out: newScreen(), err: newScreen(), in: w, sizes: make(chan runtime.Size), ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		s.code, s.failed = r.ExecStreams(ctx, id, runtime.Exec{Args: append([]string{program}, steps...)}, runtime.Streams{
			Stdin: in, Stdout: s.out, Stderr: s.err, Terminal: terminal, Size: runtime.Size{Rows: 31, Cols: 97}, Sizes: s.sizes,
		})
	}()
	return s
}

func (s *session) wait(t *testing.T, ctx context.Context) {
	t.Helper()
	select {
	case <-s.ended:
	case <-ctx.Done():
		t.Fatalf("the command goes on; it said %q, %q", s.out, s.err)
	}
}

func (r *suite) streams(t *testing.T) {
	ctx := bounded(t)
	id := r.start(t, r.spec("print=up", "wait"))
	r.says(t, id, "up")
	long := strings.Repeat("0123456789", 20_000)
	s := r.open(ctx, id, false, "input", "err=oh", "exit=9")
	if _, err := io.WriteString(s.in, long); err != nil {
		t.Fatal(err)
	}
	s.in.Close()
	s.wait(t, ctx)
	if s.failed != nil || s.code != 9 || s.out.String() != long || s.err.String() != "oh\n" {
		t.Errorf("exit code %d, %v, %d bytes of output, %q", s.code, s.failed, len(s.out.String()), s.err)
	}
	// Input of which nothing is read, and none at all.
	s = r.open(ctx, id, false, "print=a", "exit=0")
	s.wait(t, ctx)
	if s.failed != nil || s.code != 0 || s.out.String() != "a\n" {
		t.Errorf("without input: exit code %d, %v, %q", s.code, s.failed, s.out)
	}
	out := newScreen()
	code, err := r.ExecStreams(ctx, id, runtime.Exec{Args: []string{program, "input", "exit=3"}}, runtime.Streams{Stdout: out, Stderr: out})
	if err != nil || code != 3 || out.String() != "" {
		t.Errorf("nil input: exit code %d, %v, %q", code, err, out)
	}
	if _, err := r.ExecStreams(ctx, "absent", runtime.Exec{Args: []string{program}}, runtime.Streams{Stdout: out, Stderr: out}); !errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("in no container: %v", err)
	}
	// Cut off by who asked.
	short, cancel := context.WithCancel(ctx)
	s = r.open(short, id, false, "print=begun", "stay")
	s.out.says(t, ctx, "begun")
	cancel()
	s.wait(t, ctx)
	if !errors.Is(s.failed, context.Canceled) {
		t.Errorf("cut off: %v", s.failed)
	}
	// The end of the container is that of its commands.
	s = r.open(ctx, id, false, "print=begun", "stay")
	s.out.says(t, ctx, "begun")
	if err := r.Signal(ctx, id, "KILL"); err != nil {
		t.Fatal(err)
	}
	s.wait(t, ctx)
	if s.failed == nil && s.code != 137 {
		t.Errorf("when the container ended: exit code %d, %v", s.code, s.failed)
	}
}

func (r *suite) terminal(t *testing.T) {
	ctx := bounded(t)
	id := r.start(t, r.spec("print=up", "wait"))
	r.says(t, id, "up")

	s := r.open(ctx, id, true, "tty", "winch=2", "line", "err=oh", "exit=7")
	s.out.says(t, ctx, "31 97\r\nready\r\n")
	s.sizes <- runtime.Size{Rows: 40, Cols: 120}
	s.out.says(t, ctx, "40 120\r\n")
	s.sizes <- runtime.Size{Rows: 10, Cols: 20}
	s.out.says(t, ctx, "10 20\r\n")
	io.WriteString(s.in, "typed\r")
	s.wait(t, ctx)
	// The terminal echoes what is typed, and its two outputs are one.
	if out := s.out.String(); s.failed != nil || s.code != 7 || !strings.HasSuffix(out, "typed\r\nline \"typed\\n\"\r\noh\r\n") || s.err.String() != "" {
		t.Errorf("exit code %d, %v, %q, %q", s.code, s.failed, out, s.err)
	}

	// ^C is a signal to what runs in the terminal.
	s = r.open(ctx, id, true, "print=begun", "stay")
	s.out.says(t, ctx, "begun")
	io.WriteString(s.in, "\x03")
	s.out.says(t, ctx, "got interrupt")

	// Several at once, and each its own.
	var all sync.WaitGroup
	for i := range 5 {
		all.Go(func() {
			s := r.open(ctx, id, true, "line", fmt.Sprintf("exit=%d", i))
			fmt.Fprintf(s.in, "i am %d\r", i)
			<-s.ended
			if s.failed != nil || s.code != i || !strings.Contains(s.out.String(), fmt.Sprintf("line \"i am %d\\n\"", i)) {
				t.Errorf("session %d: exit code %d, %v, %q", i, s.code, s.failed, s.out)
			}
		})
	}
	all.Wait()

	// All output comes, however much, and the command waits for a slow reader.
	s = r.open(ctx, id, true, "lines=50000", "exit=0")
	s.wait(t, ctx)
	if out := s.out.String(); s.failed != nil || s.code != 0 || !strings.HasSuffix(out, "line 49999\r\n") || strings.Count(out, "\n") != 50000 {
		t.Errorf("much output: exit code %d, %v, %d lines", s.code, s.failed, strings.Count(out, "\n"))
	}

	// Who can't be written to has hung up; so has ctx. Nothing stays, not even
	// what left the session.
	deaf := newScreen()
	deaf.failure = errors.New("hung up")
	_, err := r.ExecStreams(ctx, id, runtime.Exec{Args: []string{program, "daemon", "print=x", "stay"}}, runtime.Streams{Stdout: deaf, Terminal: true})
	if !errors.Is(err, deaf.failure) {
		t.Errorf("an output that can't be written: %v", err)
	}
	short, cancel := context.WithCancel(ctx)
	s = r.open(short, id, true, "daemon", "print=begun", "stay")
	s.out.says(t, ctx, "begun")
	cancel()
	s.wait(t, ctx)
	if !errors.Is(s.failed, context.Canceled) {
		t.Errorf("cut off: %v", s.failed)
	}

	// What there is not can't be started, which is said.
	none := newScreen()
	code, err := r.ExecStreams(ctx, id, runtime.Exec{Args: []string{"/no/such/program"}}, runtime.Streams{Stdout: none, Terminal: true})
	if err == nil || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("no program: exit code %d, %v, %q", code, err, none)
	}

	// Commands end with their container.
	s = r.open(ctx, id, true, "print=begun", "stay")
	s.out.says(t, ctx, "begun")
	if err := r.Signal(ctx, id, "KILL"); err != nil {
		t.Fatal(err)
	}
	s.wait(t, ctx)
	if s.failed == nil && !slices.Contains([]int{137, 129}, s.code) {
		t.Errorf("when the container ended: exit code %d, %v", s.code, s.failed)
	}
}
