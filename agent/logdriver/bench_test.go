package logdriver_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth/berth/agent/logdriver"
	"github.com/berth/berth/api/logs"
	"github.com/berth/berth/logstore"
	"github.com/berth/berth/state"
)

// told says after each put that it is done.
type told struct {
	logdriver.Sink
	put chan error
}

func (s told) Put(ctx context.Context, t state.LogTarget, source string, events []state.LogEvent, next int64) error {
	err := s.Sink.Put(ctx, t, source, events, next)
	s.put <- err
	return err
}

func setup(b *testing.B, wrap func(logdriver.Sink) logdriver.Sink) (*logdriver.Shipper, string) {
	b.Helper()
	dir, log := b.TempDir(), slog.New(slog.NewTextHandler(io.Discard, nil))
	store, err := logstore.Open(filepath.Join(dir, "store"), time.Now, log)
	if err != nil {
		b.Fatal(err)
	}
	s, err := logdriver.New(wrap(logs.NewSink(store)), log)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		s.Close()
		store.Close()
	})
	return s, filepath.Join(dir, "out")
}

// BenchmarkShip is the way of a line from the container's file into the store.
func BenchmarkShip(b *testing.B) {
	s, path := setup(b, func(s logdriver.Sink) logdriver.Sink { return s })
	const lines = 200_000
	var file bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&file, "%s stdout F %08d %s\n", time.Now().Format(time.RFC3339Nano), i, strings.Repeat("x", 100))
	}
	n := 0
	for b.Loop() {
		b.StopTimer()
		if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
			b.Fatal(err)
		}
		n++
		b.StartTimer()
		id := fmt.Sprint(n)
		if err := s.Follow(id, path, &target); err != nil {
			b.Fatal(err)
		}
		if err := s.Finish(b.Context(), id); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n*lines)/b.Elapsed().Seconds(), "lines/s")
}

// BenchmarkOneLine is the time until a line is durable.
func BenchmarkOneLine(b *testing.B) {
	put := make(chan error)
	s, path := setup(b, func(s logdriver.Sink) logdriver.Sink { return told{s, put} })
	if err := s.Follow("c", path, &target); err != nil {
		b.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for b.Loop() {
		if _, err := f.WriteString(time.Now().Format(time.RFC3339Nano) + " stdout F x\n"); err != nil {
			b.Fatal(err)
		}
		if err := <-put; err != nil {
			b.Fatal(err)
		}
	}
}
