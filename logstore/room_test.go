package logstore

import (
	"strings"
	"testing"
	"time"
)

// A disk that is about to be full takes no more events, and takes them again
// when it has room.
func TestNoRoom(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, &clock{time.Unix(1000, 0)})
	defer s.Close()
	scope := Scope{"1", "r"}
	if err := s.CreateGroup(scope, Group{Name: "g"}); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateStream(scope, "g", "s"); err != nil {
		t.Fatal(err)
	}
	events := []Event{{Time: 1, Message: "m"}}
	s.reserve = 1 << 62
	if _, err := s.Put(scope, "g", "s", events, &Cursor{"c", 1}); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("without room: %v, want an error that names the directory", err)
	}
	s.reserve = reserve
	if _, err := s.Put(scope, "g", "s", events, &Cursor{"c", 1}); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if at, err := s.Cursor(scope, "g", "s", "c"); err != nil || at != 1 {
		t.Errorf("the cursor is at %d, %v", at, err)
	}
}
