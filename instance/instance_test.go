package instance

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What is made at the first start stays, and a directory is of one process and
// one account.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	first, err := Open(dir, "111111111111")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, "111111111111"); !errors.Is(err, ErrRunning) {
		t.Errorf("a second process: %v, want %v", err, ErrRunning)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, "222222222222"); err == nil {
		t.Error("another account's directory was opened")
	}
	again, err := Open(dir, "111111111111")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Identity != first.Identity || again.Keys != first.Keys {
		t.Errorf("the second start has %+v, %+v, the first had %+v, %+v", again.Identity, again.Keys, first.Identity, first.Keys)
	}
	if keys, err := ReadKeys(dir); err != nil || keys != first.Keys {
		t.Errorf("the keys read are %+v, %v", keys, err)
	}
}

// A process that was killed may leave the lock to one that it was starting, for
// a moment.
func TestOpenWaitsForLock(t *testing.T) {
	dir := t.TempDir()
	first, err := Open(dir, "111111111111")
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { first.Close() })
	second, err := Open(dir, "111111111111")
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
}

// Files that are damaged are named, and nothing panics.
func TestOpenDamaged(t *testing.T) {
	dir := t.TempDir()
	first, err := Open(dir, "111111111111")
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	for _, name := range []string{"instance.json", "keys.json"} {
		good, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{"", "{", "[]", "{}", "null", "7", `{"ID":"../../x","Node":"y"}`, `{"ID":"0123456g","Node":"` + strings.Repeat("0", 32) + `"}`, `{"Account":"111111111111"}`} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(bad), 0o600); err != nil {
				t.Fatal(err)
			}
			i, err := Open(dir, "111111111111")
			if err == nil {
				i.Close()
			}
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s with %q: %v", name, bad, err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again, err := Open(dir, "111111111111")
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}
