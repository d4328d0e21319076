package crun

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// The directories and files below the root. doc.go says what they hold. Files
// are written whole (package wholefile) and without waiting for the disk: if the
// host goes down, so do the containers.
const (
	imagesDir     = "images"
	containersDir = "containers"
	sandboxesDir  = "sandboxes"
	exitsDir      = "exits"
	logsDir       = "logs"
	stateDir      = "oci"
	seccompDir    = "seccomp"
	writableDir   = "writable"
	trashDir      = "trash"
	readyDir      = "ready"

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
