package crun

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The directories and files below the root. doc.go says what they hold.
const (
	imagesDir     = "images"
	containersDir = "containers"
	sandboxesDir  = "sandboxes"
	exitsDir      = "exits"
	logsDir       = "logs"
	stateDir      = "oci"
	seccompDir    = "seccomp"

	recordFile   = "container.json"
	rootfsDir    = "rootfs"
	configFile   = "config.json" // the OCI bundle's
	pidFile      = "pid"
	startingFile = "starting"
	startedFile  = "started"
	exitFile     = "exit.json"
)

func (r *Runtime) bundle(id string) string { return filepath.Join(r.root, containersDir, id) }

func (r *Runtime) file(id, name string) string { return filepath.Join(r.bundle(id), name) }

func (r *Runtime) exitPath(id string) string { return filepath.Join(r.root, exitsDir, id) }

func (r *Runtime) sandboxPath(id string) string {
	return filepath.Join(r.root, sandboxesDir, id+".json")
}

// LogPath is the file of a container's output. It outlives the container.
func (r *Runtime) LogPath(id string) string { return filepath.Join(r.root, logsDir, id) }

// writeAtomic makes a file that is there with all its content, or not at all,
// whenever this process ends. It does not wait for the disk: if the host goes
// down, so do the containers.
func writeAtomic(path string, data []byte) error {
	temp := path + ".tmp"
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeAtomic(path, data)
}

// readJSON returns false if there is no such file.
func readJSON(path string, v any) (bool, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	return true, nil
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
