// Package wholefile writes files that are there with all their content or not at
// all, whenever the process ends.
package wholefile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Write makes or replaces a file. It does not wait for the disk: what must
// outlast the host's end, too, is written by WriteSynced.
func Write(path string, data []byte, mode fs.FileMode) error { return write(path, data, mode, false) }

// WriteSynced makes or replaces a file that is on the disk, with its name, when
// it returns.
func WriteSynced(path string, data []byte, mode fs.FileMode) error {
	if err := write(path, data, mode, true); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// write goes by a file beside path, of which there is one: two writers of a path
// at a time must not be.
func write(path string, data []byte, mode fs.FileMode, sync bool) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil && sync {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// SyncDir returns when the names in a directory are on the disk.
func SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// WriteJSON is Write of v as JSON, for the owner alone.
func WriteJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return Write(path, data, 0o600)
}

// ReadJSON reads v from a file. It returns false if there is no such file.
func ReadJSON(path string, v any) (bool, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return false, fmt.Errorf("read %s: %w", path, err)
	}
	return true, nil
}
