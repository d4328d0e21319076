package logdriver_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/berth/berth/agent/logdriver"
	"github.com/berth/berth/api/logs"
	"github.com/berth/berth/logstore"
	"github.com/berth/berth/state"
)

const childDir = "LOGDRIVER_TEST_CHILD"

// TestMain is also the process that the crash test kills: it ships what is in
// the directory until it is killed, or, told so by its standard input, to the end.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

var target = state.LogTarget{Scope: state.Scope{Account: "1", Region: "r"}, Group: "g", Stream: "s", CreateGroup: true}

func child(dir string) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	store, err := logstore.Open(filepath.Join(dir, "store"), time.Now, log)
	if err != nil {
		return err
	}
	s, err := logdriver.New(logs.NewSink(store), log)
	if err != nil {
		return err
	}
	if err := s.Follow("c", filepath.Join(dir, "out"), &target); err != nil {
		return err
	}
	fmt.Println("ready")
	if line, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return fmt.Errorf("wait for the word: %q %w", line, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := s.Finish(ctx, "c"); err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	return store.Close()
}

// TestKills kills the shipping process at random moments while lines are being
// written: each must be in the store once, in order, and the space of the file
// must have come back.
func TestKills(t *testing.T) {
	const kills = 15
	dir := t.TempDir()
	out, err := os.OpenFile(filepath.Join(dir, "out"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	var stop atomic.Bool
	lines := make(chan int)
	go func() {
		n := 0
		// A container that prints in bursts, in both streams, at times without a
		// newline. Every write is whole lines, as conmon's are.
		for !stop.Load() && n < 2_000_000 {
			var b strings.Builder
			for range 1 + rand.IntN(200) {
				at := time.Now().Format(time.RFC3339Nano)
				switch {
				case n%97 == 0: // a partial line, passed by another of the other stream
					fmt.Fprintf(&b, "%s stdout P %09d par\n%s stderr F e%08d\n%s stdout F tial\n", at, n, at, n, at)
				default:
					fmt.Fprintf(&b, "%s stdout F %09d %s\n", at, n, strings.Repeat("x", rand.IntN(300)))
				}
				n++
			}
			if _, err := out.WriteString(b.String()); err != nil {
				t.Error(err)
				break
			}
			time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond) // the container's own pace
		}
		lines <- n
	}()

	start := func() (*exec.Cmd, io.WriteCloser) {
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		cmd.Stderr = t.Output()
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
			t.Fatalf("the child says %q, %v", line, err)
		}
		return cmd, in
	}
	for range kills {
		cmd, _ := start()
		time.Sleep(time.Duration(rand.IntN(250)) * time.Millisecond) // the moment of the kill
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		cmd.Wait() // says that it was killed
	}
	stop.Store(true)
	n := <-lines
	cmd, in := start()
	if _, err := io.WriteString(in, "end\n"); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "out")); !os.IsNotExist(err) {
		t.Errorf("the file is left: %v", err)
	}

	store, err := logstore.Open(filepath.Join(dir, "store"), time.Now, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	q := logstore.Query{Streams: []string{"s"}, End: math.MaxInt64, Limit: 10_000, MaxBytes: 1 << 24, Scan: 1 << 30}
	seen, errs := 0, map[string]bool{}
	for {
		p, err := store.Read(t.Context(), logstore.Scope{Account: "1", Region: "r"}, "g", q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range p.Events {
			if strings.HasPrefix(e.Message, "e") {
				if errs[e.Message] {
					t.Fatalf("%s came twice", e.Message)
				}
				errs[e.Message] = true
				continue
			}
			want := fmt.Sprintf("%09d ", seen)
			if !strings.HasPrefix(e.Message, want) || seen%97 == 0 && e.Message != want+"partial" {
				t.Fatalf("line %d is %q", seen, e.Message)
			}
			seen++
		}
		if q.From = &p.Next; !p.More {
			break
		}
	}
	if seen != n || len(errs) != (n+96)/97 {
		t.Fatalf("%d lines and %d of stderr are stored, want %d and %d", seen, len(errs), n, (n+96)/97)
	}
	t.Logf("%d lines, each once and in order, over %d kills", n, kills)
}
