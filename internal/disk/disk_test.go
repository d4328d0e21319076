package disk

import (
	"strings"
	"testing"
)

func TestRoom(t *testing.T) {
	dir := t.TempDir()
	if err := Room(dir, 1); err != nil {
		t.Errorf("one byte: %v", err)
	}
	if err := Room(dir, 1<<62); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("more than there is: %v, want an error that names the directory", err)
	}
	if err := Room(dir+"/nothing", 1); err == nil {
		t.Error("a directory that isn't there has room")
	}
}
