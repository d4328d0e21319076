package logdriver_test

import (
	"bytes"
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
)

func setup(b *testing.B) (*logdriver.Shipper, *logstore.Store, string) {
	b.Helper()
	dir, log := b.TempDir(), slog.New(slog.NewTextHandler(io.Discard, nil))
	store, err := logstore.Open(filepath.Join(dir, "store"), time.Now, log)
	if err != nil {
		b.Fatal(err)
	}
	s, err := logdriver.New(logs.NewSink(store), log)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		s.Close()
		store.Close()
	})
	return s, store, filepath.Join(dir, "out")
}

// BenchmarkShip is the way of a line from the container's file into the store.
func BenchmarkShip(b *testing.B) {
	s, _, path := setup(b)
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

// BenchmarkOneLine is the time until a line is durable and seen by a tail.
func BenchmarkOneLine(b *testing.B) {
	s, store, path := setup(b)
	if err := s.Follow("c", path, &target); err != nil {
		b.Fatal(err)
	}
	tail, err := store.Tail(logstore.Scope(target.Scope), target.Group)
	if err != nil {
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
		<-tail.C
	}
}
