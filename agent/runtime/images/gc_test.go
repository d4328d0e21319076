package images

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/metadata"
	"pgregory.net/rapid"

	"github.com/berth/berth/agent/runtime"
)

func TestGCSettings(t *testing.T) {
	good := GC{High: 85, Low: 80, MinAge: time.Minute, Interval: time.Minute}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*GC){
		func(g *GC) { g.High = 100 }, func(g *GC) { g.Low = 0 }, func(g *GC) { g.Low = 86 },
		func(g *GC) { g.MinAge = -1 }, func(g *GC) { g.Interval = 0 },
	} {
		bad := good
		if change(&bad); bad.Check() == nil {
			t.Errorf("%+v is good", bad)
		}
	}
}

// blobs are the files of the content store, of what is there and what comes.
func blobs(t testing.TB, s *Store) int {
	t.Helper()
	n := 0
	err := filepath.WalkDir(filepath.Join(s.dir, "content"), func(_ string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return n
}

// Whatever is pulled, used and left in whatever order: what is in use stays, and
// when there is no room, nothing else does.
func TestEvict(t *testing.T) {
	w := newWorld(t)
	s := newStore(t, Registries{})
	s.Taken()
	shared := gzipped(t, reg("shared", "all"))
	var refs []string
	for i := range 4 {
		layers := gzipped(t, reg("own", fmt.Sprint(i)))
		refs = append(refs, w.push(t, fmt.Sprintf("app:%d", i), newImage(t, shared, layers)))
	}
	const hour = time.Hour
	gc := GC{High: 80, Low: 50, MinAge: hour, Interval: hour}
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		present, tasks, containers := map[int]bool{}, map[int]int{}, map[int][]Base{}
		keep := func() (list []string) {
			for i, n := range tasks {
				if n > 0 {
					list = append(list, refs[i])
				}
			}
			return list
		}
		image := rapid.IntRange(0, len(refs)-1)
		check := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			i := image.Draw(t, "image")
			switch rapid.SampledFrom([]string{"pull", "task", "end", "start", "stop", "evict", "remove"}).Draw(t, "step") {
			case "pull":
				_, err := s.Pull(ctx, refs[i], false)
				check(err)
				present[i] = true
			case "task":
				tasks[i]++
			case "end":
				tasks[i] = max(0, tasks[i]-1)
			case "start":
				if present[i] {
					b, err := s.Base(ctx, refs[i])
					check(err)
					containers[i] = append(containers[i], b)
				}
			case "stop":
				if n := len(containers[i]); n > 0 {
					s.Release(containers[i][n-1].ID)
					containers[i] = containers[i][:n-1]
				}
			case "remove":
				err := s.RemoveImage(ctx, refs[i])
				if errors.Is(err, runtime.ErrNotFound) != !present[i] {
					t.Fatalf("remove image %d, present %v: %v", i, present[i], err)
				}
				delete(present, i)
			case "evict":
				level := rapid.SampledFrom([]float64{60, 80, 99}).Draw(t, "level")
				later := time.Now().Add(hour * time.Duration(rapid.IntRange(0, 1).Draw(t, "hours later")))
				removed, err := s.evict(ctx, gc, keep, func() (float64, error) { return level, nil }, later)
				check(err)
				old := later.After(time.Now())
				for i := range present {
					name, err := normalize(refs[i])
					check(err)
					gone := slices.Contains(removed, name)
					if want := level >= 80 && old && tasks[i] == 0 && len(containers[i]) == 0; gone != want {
						t.Fatalf("image %d is gone: %v, want %v (level %v, old %v, %d tasks, %d containers)", i, gone, want, level, old, tasks[i], len(containers[i]))
					}
					if gone {
						delete(present, i)
					}
				}
			}
			for i := range refs {
				if _, err := s.Image(ctx, refs[i]); (err == nil) != present[i] {
					t.Fatalf("image %d is present: %v, %v", i, present[i], err)
				}
				for _, b := range containers[i] {
					if data, err := os.ReadFile(filepath.Join(b.Layers[0], "own")); err != nil || string(data) != fmt.Sprint(i) {
						t.Fatalf("a container of image %d has lost its files: %q, %v", i, data, err)
					}
				}
			}
		}
		for i, bases := range containers {
			for _, b := range bases {
				s.Release(b.ID)
			}
			delete(containers, i)
		}
		for i := range present {
			check(s.RemoveImage(ctx, refs[i]))
		}
		check(s.collectNow(ctx))
	})
	if n := blobs(t, s); n != 0 {
		t.Errorf("%d files are left of images that are gone", n)
	}
	left, err := os.ReadDir(filepath.Join(s.dir, s.snapKey, "snapshots"))
	if err != nil || len(left) > 0 {
		t.Errorf("snapshots left: %v, %v", left, err)
	}
}

// The least used go first, and no more than need be.
func TestEvictInOrder(t *testing.T) {
	w := newWorld(t)
	s := newStore(t, Registries{})
	s.Taken()
	var names []string
	for i := range 3 {
		ref := w.push(t, fmt.Sprintf("app:%d", i), newImage(t, gzipped(t, reg("own", fmt.Sprint(i)))))
		if _, err := s.Pull(t.Context(), ref, false); err != nil {
			t.Fatal(err)
		}
		name, err := normalize(ref)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	s.uses.touch(names[0])
	levels := []float64{90, 40}
	level := func() (float64, error) {
		at := levels[0]
		levels = levels[1:]
		return at, nil
	}
	none := func() []string { return nil }
	removed, err := s.evict(t.Context(), GC{High: 80, Low: 50}, none, level, time.Now())
	if err != nil || !slices.Equal(removed, names[1:2]) {
		t.Errorf("removed %v, %v, want %s", removed, err, names[1])
	}
	// What came by hand can't be had again.
	rec, err := s.record(t.Context(), names[2])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.name(t.Context(), names[2], rec.Target, imported); err != nil {
		t.Fatal(err)
	}
	removed, err = s.evict(t.Context(), GC{High: 80, Low: 50}, none, func() (float64, error) { return 99, nil }, time.Now())
	if err != nil || !slices.Equal(removed, names[:1]) {
		t.Errorf("removed %v, %v, want %s", removed, err, names[0])
	}
}

// A process that is killed between the end of a name and the removal of what it
// had leaves that to the next one.
func TestRemovalCutOff(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	s := open(t, dir, Registries{})
	var refs []string
	for i := range 2 {
		ref := w.push(t, fmt.Sprintf("app:%d", i), newImage(t, gzipped(t, reg("own", fmt.Sprint(i)))))
		if _, err := s.Pull(t.Context(), ref, false); err != nil {
			t.Fatal(err)
		}
		refs = append(refs, ref)
	}
	rec, err := s.record(t.Context(), refs[0])
	if err != nil {
		t.Fatal(err)
	}
	both := blobs(t, s)
	if err := metadata.NewImageStore(s.db).Delete(ns(t.Context()), rec.Name); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Registries{})
	defer s.Close()
	s.Taken()
	if err := s.collectNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := blobs(t, s); n != both/2 {
		t.Errorf("%d files are left of %d", n, both)
	}
	if got := read(t, s, refs[1], "own"); got != "1" {
		t.Errorf("the other image's file says %q", got)
	}
}

// Many who want the same at once cost the registry two questions at most, and
// share the answer, a bad one too.
func TestPullAskedOnce(t *testing.T) {
	w := newWorld(t)
	s := newStore(t, Registries{})
	ref := w.push(t, "app:1", newImage(t, gzipped(t, reg("a", "b"))))
	for _, ill := range []bool{false, true} {
		var waiting atomic.Int32
		const many = 50
		all := make(chan struct{})
		var failed atomic.Int32
		w.harm(func(rw http.ResponseWriter, r *http.Request) bool {
			<-all
			if ill {
				rw.WriteHeader(http.StatusForbidden)
			}
			return ill
		})
		var done sync.WaitGroup
		for range many {
			done.Go(func() {
				if waiting.Add(1) == many {
					close(all)
				}
				if _, err := s.Pull(t.Context(), ref, true); err != nil {
					failed.Add(1)
				}
			})
		}
		done.Wait()
		if n := failed.Load(); ill != (n == many) || !ill && n > 0 {
			t.Errorf("ill %v: %d of %d pulls failed", ill, n, many)
		}
		// A goroutine may be late: that it waits is said before it does.
		if got := w.asked("HEAD"); len(got) > 5 {
			t.Errorf("ill %v: the registry was asked %d times", ill, len(got))
		}
	}
}
