package crun

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/berth/berth/agent/runtime"
)

// Stats reads what a running container has used. One that doesn't run has
// nothing: runtime.ErrNotFound.
func (r *Runtime) Stats(ctx context.Context, id string) (runtime.Stats, error) {
	st, err := r.Status(ctx, id)
	if err != nil {
		return runtime.Stats{}, err
	}
	if st.State != runtime.Running {
		return runtime.Stats{}, fmt.Errorf("container %s doesn't run: %w", id, runtime.ErrNotFound)
	}
	s := runtime.Stats{Read: time.Now(), PID: st.PID}
	path := r.cgroups.container(st.Sandbox, id)
	if r.cgroups.v2 != "" {
		err = readStatsV2(filepath.Join(r.cgroups.v2, path), &s)
	} else {
		err = r.cgroups.readStatsV1(path, &s)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("container %s has just ended: %w", id, runtime.ErrNotFound)
	}
	if err != nil {
		return s, fmt.Errorf("read the cgroup of container %s: %w", id, err)
	}
	return s, nil
}

// readStatsV1 reads a cgroup of version 1 (kernel documentation,
// admin-guide/cgroup-v1: cpuacct, memory, pids, blkio-controller).
func (c *cgroups) readStatsV1(path string, s *runtime.Stats) error {
	file := func(controller, name string) string { return filepath.Join(c.v1[controller], path, name) }
	if c.v1["cpuacct"] != "" {
		var err error
		if s.CPU, err = readNumber(file("cpuacct", "cpuacct.usage")); err != nil {
			return err
		}
		times, err := readPairs(file("cpuacct", "cpuacct.stat"))
		if err != nil {
			return err
		}
		const nanosecondsPerTick = 1e9 / 100 // USER_HZ
		s.CPUUser, s.CPUSystem = times["user"]*nanosecondsPerTick, times["system"]*nanosecondsPerTick
		text, err := os.ReadFile(file("cpuacct", "cpuacct.usage_percpu"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, f := range strings.Fields(string(text)) {
			n, err := strconv.ParseUint(f, 10, 64)
			if err != nil {
				return err
			}
			s.PerCPU = append(s.PerCPU, n)
		}
	}
	quota, err := readPairs(file("cpu", "cpu.stat"))
	if err != nil {
		return err
	}
	s.Periods, s.Throttled, s.ThrottledTime = quota["nr_periods"], quota["nr_throttled"], quota["throttled_time"]
	if s.Memory, err = readNumber(file("memory", "memory.usage_in_bytes")); err != nil {
		return err
	}
	if s.MemoryMax, err = readNumber(file("memory", "memory.max_usage_in_bytes")); err != nil {
		return err
	}
	if s.MemoryDetail, err = readPairs(file("memory", "memory.stat")); err != nil {
		return err
	}
	const none = 1 << 62 // the kernel's word for no limit is the largest number of pages
	if limit := s.MemoryDetail["hierarchical_memory_limit"]; limit < none {
		s.MemoryLimit = limit
	}
	if c.v1["pids"] != "" {
		if err := readPIDs(file("pids", ""), s); err != nil {
			return err
		}
	}
	if c.v1["blkio"] == "" {
		return nil
	}
	return readBlkio(file("blkio", ""), s)
}

// readBlkio reads lines of "major:minor operation number".
func readBlkio(dir string, s *runtime.Stats) error {
	at := map[string]int{}
	for _, part := range []struct {
		name string
		set  func(*runtime.IO, uint64)
	}{
		{"blkio.throttle.io_service_bytes_recursive", func(io *runtime.IO, n uint64) { io.Bytes = n }},
		{"blkio.throttle.io_serviced_recursive", func(io *runtime.IO, n uint64) { io.Ops = n }},
	} {
		text, err := os.ReadFile(filepath.Join(dir, part.name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without that policy
		}
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			var io runtime.IO
			var n uint64
			if _, err := fmt.Sscanf(line, "%d:%d %s %d", &io.Major, &io.Minor, &io.Op, &n); err != nil {
				continue // "Total" of all devices
			}
			key := fmt.Sprint(io.Major, io.Minor, io.Op)
			i, ok := at[key]
			if !ok {
				i = len(s.IO)
				at[key], s.IO = i, append(s.IO, io)
			}
			part.set(&s.IO[i], n)
		}
	}
	return nil
}

// readStatsV2 reads a cgroup of version 2 (kernel documentation,
// admin-guide/cgroup-v2).
func readStatsV2(dir string, s *runtime.Stats) error {
	const nanoseconds = 1000 // in the kernel's microseconds
	cpu, err := readPairs(filepath.Join(dir, "cpu.stat"))
	if err != nil {
		return err
	}
	s.CPU, s.CPUUser, s.CPUSystem = cpu["usage_usec"]*nanoseconds, cpu["user_usec"]*nanoseconds, cpu["system_usec"]*nanoseconds
	s.Periods, s.Throttled, s.ThrottledTime = cpu["nr_periods"], cpu["nr_throttled"], cpu["throttled_usec"]*nanoseconds
	if s.Memory, err = readNumber(filepath.Join(dir, "memory.current")); err != nil {
		return err
	}
	if s.MemoryDetail, err = readPairs(filepath.Join(dir, "memory.stat")); err != nil {
		return err
	}
	if s.MemoryMax, err = readNumber(filepath.Join(dir, "memory.peak")); err != nil && !errors.Is(err, fs.ErrNotExist) { // since Linux 5.19
		return err
	}
	// The limit may be the task's, which is the cgroup above.
	for _, at := range []string{dir, filepath.Dir(dir)} {
		limit, err := readNumber(filepath.Join(at, "memory.max"))
		if err != nil {
			return err
		}
		if limit > 0 && (s.MemoryLimit == 0 || limit < s.MemoryLimit) {
			s.MemoryLimit = limit
		}
	}
	if err := readPIDs(dir, s); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(dir, "io.stat"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return parseIOStat(string(text), s)
}

// parseIOStat reads lines of "major:minor rbytes=1 wbytes=2 rios=3 wios=4 …".
func parseIOStat(text string, s *runtime.Stats) error {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		read, write := runtime.IO{Op: "Read"}, runtime.IO{Op: "Write"}
		if _, err := fmt.Sscanf(fields[0], "%d:%d", &read.Major, &read.Minor); err != nil {
			return fmt.Errorf("io.stat has the line %q", line)
		}
		write.Major, write.Minor = read.Major, read.Minor
		for _, f := range fields[1:] {
			name, value, _ := strings.Cut(f, "=")
			n, err := strconv.ParseUint(value, 10, 64)
			if err != nil {
				continue // a cost model's, which are not all numbers
			}
			switch name {
			case "rbytes":
				read.Bytes = n
			case "rios":
				read.Ops = n
			case "wbytes":
				write.Bytes = n
			case "wios":
				write.Ops = n
			}
		}
		s.IO = append(s.IO, read, write)
	}
	return nil
}

func readPIDs(dir string, s *runtime.Stats) (err error) {
	if s.PIDs, err = readNumber(filepath.Join(dir, "pids.current")); err != nil {
		return err
	}
	s.PIDsLimit, err = readNumber(filepath.Join(dir, "pids.max"))
	return err
}

// readNumber reads a file with one number; "max" is 0.
func readNumber(path string) (uint64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	word := strings.TrimSpace(string(text))
	if word == "max" {
		return 0, nil
	}
	return strconv.ParseUint(word, 10, 64)
}

// readPairs reads a file with a name and a number on each line.
func readPairs(path string) (map[string]uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	pairs := map[string]uint64{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			continue
		}
		pairs[name] = n
	}
	return pairs, lines.Err()
}
