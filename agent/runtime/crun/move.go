package crun

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
)

// moves makes it quick to move processes into cgroups, which the OCI runtime
// does once for each container. Linux lets no process fork while another is
// moved, and to say so to all CPUs it waits until each has been through its
// scheduler: some ten milliseconds, a third of a launch. For as long again the
// next moves wait for nothing. So the wait is begun while there is other work to
// do, by a move of a thread to where it already is.
type moves struct {
	file, id string
	under    atomic.Bool
}

// newMoves returns one that moves the spawner's thread (cgroup v1), or this
// process.
func (c *cgroups) newMoves(s *spawner) *moves {
	if c.v2 == "" {
		return &moves{file: filepath.Join(c.v1["memory"], c.base, supervisors, "tasks"), id: strconv.Itoa(s.tid)}
	}
	own, _ := os.ReadFile("/proc/self/cgroup")
	at := strings.TrimPrefix(strings.TrimSpace(string(own)), "0::")
	return &moves{file: filepath.Join(c.v2, at, "cgroup.procs"), id: strconv.Itoa(os.Getpid())}
}

// expect begins the wait, if none is under way, and returns at once.
func (m *moves) expect() {
	if m.under.Swap(true) {
		return
	}
	go func() {
		defer m.under.Store(false)
		// Where it fails, the next real move takes its time.
		_ = writeFile(m.file, m.id)
	}()
}
