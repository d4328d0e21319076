package wholefile

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestWrite(t *testing.T) {
	for name, write := range map[string]func(string, []byte, fs.FileMode) error{"Write": Write, "WriteSynced": WriteSynced} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f")
			for _, text := range []string{"a long text", "short"} {
				// What a process that was killed left is no obstacle.
				if err := os.WriteFile(path+".new", []byte("half of something longer"), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := write(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				if got, err := os.ReadFile(path); err != nil || string(got) != text {
					t.Errorf("the file has %q, %v; want %q", got, err, text)
				}
			}
			// A write that fails leaves what was there.
			if err := os.Mkdir(path+".new", 0o700); err != nil {
				t.Fatal(err)
			}
			if err := write(path, []byte("more"), 0o600); err == nil {
				t.Error("wrote through a directory")
			}
			if got, _ := os.ReadFile(path); string(got) != "short" {
				t.Errorf("after a write that failed the file has %q", got)
			}
		})
	}
}

func TestJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	var v []int
	if found, err := ReadJSON(path, &v); found || err != nil {
		t.Errorf("no file: %t, %v", found, err)
	}
	if err := WriteJSON(path, []int{1, 2}); err != nil {
		t.Fatal(err)
	}
	if found, err := ReadJSON(path, &v); !found || err != nil || len(v) != 2 {
		t.Errorf("read %v, %t, %v", v, found, err)
	}
	if err := os.WriteFile(path, []byte("[1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if found, err := ReadJSON(path, &v); found || err == nil {
		t.Errorf("a damaged file: %t, %v", found, err)
	}
}
