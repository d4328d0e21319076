package instance

import (
	"errors"
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
