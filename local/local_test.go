package local

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDoor(t *testing.T) {
	for _, name := range []string{"short", "with space", strings.Repeat("long", 60)} { // longer than a socket's path may be
		dir := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		testDoor(t, dir)
	}
}

func testDoor(t *testing.T, dir string) {
	if _, err := Dial(dir).Status(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("with nobody there: %v, want ErrNotRunning", err)
	}
	var imported, removed string
	s := &Server{
		Status: func(context.Context) (Status, error) { return Status{Instance: "12345678", PID: 7}, nil },
		ImportImage: func(_ context.Context, r io.Reader, ref string) ([]Image, error) {
			b, err := io.ReadAll(r)
			imported = string(b)
			return []Image{{Ref: ref}}, err
		},
		ListImages:  func(context.Context) ([]Image, error) { return []Image{{Ref: "a"}, {Ref: "b"}}, nil },
		RemoveImage: func(_ context.Context, ref string) error { removed = ref; return errors.New("no image " + ref) },
		Down:        func(context.Context) error { return nil },
	}
	for range 2 { // the second takes the place of the first's socket
		l, err := Listen(dir)
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: s}
		go server.Serve(l)
		defer server.Close()
	}
	if info, err := os.Stat(filepath.Join(dir, "berth.sock")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v; only its owner may open it", info.Mode(), err)
	}
	c := Dial(dir)
	if got, err := c.Status(t.Context()); err != nil || got.Instance != "12345678" || got.PID != 7 {
		t.Errorf("status %+v, %v", got, err)
	}
	if got, err := c.ImportImage(t.Context(), strings.NewReader("tar"), "x:1&y"); err != nil || imported != "tar" || got[0].Ref != "x:1&y" {
		t.Errorf("imported %q as %+v, %v", imported, got, err)
	}
	if got, err := c.ListImages(t.Context()); err != nil || len(got) != 2 {
		t.Errorf("images %+v, %v", got, err)
	}
	if err := c.RemoveImage(t.Context(), "x"); err == nil || err.Error() != "no image x" || removed != "x" {
		t.Errorf("removed %q: %v", removed, err)
	}
	if err := c.Down(t.Context()); err != nil {
		t.Errorf("down: %v", err)
	}
}
