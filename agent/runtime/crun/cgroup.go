package crun

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/berth/berth/agent/runtime"
)

// supervisors is the cgroup, beside the tasks', that conmon runs in: containers
// outlive Berth, so what watches them may not be ended with Berth's own cgroup.
const supervisors = "conmon"

// cpuPeriod is the period of hard CPU limits, in microseconds.
const cpuPeriod = 100_000

// cgroups is the instance's part of the host's cgroup trees: base is
// /berth/<instance>, below it one directory a task, below that one a container.
type cgroups struct {
	base string
	// v2 is the root of the one tree, or empty.
	v2 string
	// v1 are the roots of all trees by controller ("memory"), or by name
	// ("name=systemd"). Controllers that share a tree have the same root.
	v1 map[string]string
	// hybrid are the cgroup2 mounts beside v1 trees that have controllers, which
	// crun cannot cope with.
	hybrid []string
	// second are all cgroup2 mounts beside v1 trees. Some OCI runtimes make
	// directories there too.
	second []string
	// swap says that memory and swap can be limited together.
	swap bool
}

// findCgroups reads which cgroup trees the host has.
func findCgroups(instance string) (*cgroups, error) {
	infos, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return nil, fmt.Errorf("read which cgroup trees are mounted: %w", err)
	}
	c := &cgroups{base: "/berth/" + instance, v1: map[string]string{}}
	for _, m := range infos {
		if m.FSType == "cgroup2" {
			c.second = append(c.second, m.Mountpoint)
			continue
		}
		for option := range strings.SplitSeq(m.VFSOptions, ",") {
			if option != "rw" && option != "ro" && c.v1[option] == "" {
				c.v1[option] = m.Mountpoint
			}
		}
	}
	if len(c.v1) > 0 {
		for _, point := range c.second {
			controllers, err := os.ReadFile(filepath.Join(point, "cgroup.controllers"))
			if err == nil && len(strings.TrimSpace(string(controllers))) > 0 {
				c.hybrid = append(c.hybrid, point)
			}
		}
		for _, need := range []string{"cpu", "memory"} {
			if c.v1[need] == "" {
				return nil, fmt.Errorf("the host has cgroup v1 trees but none for %s: boot it with cgroup v2, or mount that controller", need)
			}
		}
		_, err := os.Stat(filepath.Join(c.v1["memory"], "memory.memsw.limit_in_bytes"))
		c.swap = err == nil
		return c, nil
	}
	if !slices.Contains(c.second, "/sys/fs/cgroup") {
		return nil, errors.New("no cgroup tree is mounted on /sys/fs/cgroup: mount cgroup2 there")
	}
	c.v2 = "/sys/fs/cgroup"
	c.swap = true
	return c, nil
}

// trees are the roots of all trees, each once.
func (c *cgroups) trees() []string {
	if c.v2 != "" {
		return []string{c.v2}
	}
	return append(c.v1Trees(), c.second...)
}

func (c *cgroups) v1Trees() []string {
	var roots []string
	for _, root := range c.v1 {
		if !slices.Contains(roots, root) {
			roots = append(roots, root)
		}
	}
	return roots
}

// container is the cgroup of a container, as crun is told it.
func (c *cgroups) container(task, id string) string { return c.base + "/" + task + "/" + id }

// find returns the cgroups of a container of which only the ID is known.
func (c *cgroups) find(id string) ([]string, error) {
	var paths []string
	for _, root := range c.trees() {
		dirs, err := filepath.Glob(filepath.Join(root, c.base, "*", id))
		if err != nil {
			return nil, err
		}
		for _, dir := range dirs {
			if path := c.container(filepath.Base(filepath.Dir(dir)), id); !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
	}
	return paths, nil
}

// makeSupervisors makes the cgroup that conmon runs in and returns its
// directories in the v1 trees.
func (c *cgroups) makeSupervisors() ([]string, error) {
	if c.v2 != "" {
		return nil, makeDirs(filepath.Join(c.v2, c.base, supervisors))
	}
	var dirs []string
	for _, root := range c.v1Trees() {
		dir := filepath.Join(root, c.base, supervisors)
		if err := makeDirs(dir); err != nil {
			return nil, err
		}
		if root == c.v1["cpuset"] && root != "" {
			if err := c.inheritCpuset(dir); err != nil {
				return nil, err
			}
		}
		dirs = append(dirs, dir)
	}
	return dirs, nil
}

// inheritCpuset gives the cpuset directories down to dir their parents' CPUs and
// memory nodes. Without that nothing can enter them.
func (c *cgroups) inheritCpuset(dir string) error {
	root := c.v1["cpuset"]
	rel, err := filepath.Rel(root, dir)
	if err != nil {
		return err
	}
	at := root
	for part := range strings.SplitSeq(rel, "/") {
		parent := at
		at = filepath.Join(at, part)
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
			have, err := os.ReadFile(filepath.Join(at, name))
			if err != nil {
				return fmt.Errorf("read a cgroup: %w", err)
			}
			if len(strings.TrimSpace(string(have))) > 0 {
				continue
			}
			value, err := os.ReadFile(filepath.Join(parent, name))
			if err != nil {
				return fmt.Errorf("read a cgroup: %w", err)
			}
			if err := writeFile(filepath.Join(at, name), strings.TrimSpace(string(value))); err != nil {
				return fmt.Errorf("set up a cgroup: %w", err)
			}
		}
	}
	return nil
}

// makeTask makes a task's cgroup with its limits, or sets the limits of the one
// that is there.
func (c *cgroups) makeTask(s runtime.Sandbox) error {
	if c.v2 != "" {
		return c.makeTaskV2(s)
	}
	quota := int64(-1)
	if s.CPU > 0 {
		quota = int64(s.CPU) * cpuPeriod / 1024
	}
	if err := c.setV1("cpu", s.ID, []setting{
		{"cpu.cfs_period_us", strconv.Itoa(cpuPeriod)},
		{"cpu.cfs_quota_us", strconv.FormatInt(quota, 10)},
	}); err != nil {
		return err
	}
	limit := "-1"
	if s.Memory > 0 {
		limit = strconv.FormatInt(int64(s.Memory)<<20, 10)
	}
	memory := []setting{{"memory.limit_in_bytes", limit}}
	if c.swap {
		// The sum of both may never be below the first, whichever way it goes.
		both := setting{"memory.memsw.limit_in_bytes", limit}
		memory = []setting{{"memory.memsw.limit_in_bytes", "-1"}, memory[0], both}
	}
	if err := c.setV1("memory", s.ID, memory); err != nil || c.v1["pids"] == "" {
		return err
	}
	pids, err := taskPIDs()
	if err != nil {
		return err
	}
	return c.setV1("pids", s.ID, []setting{{"pids.max", pids}})
}

// taskPIDs is how many processes and threads a task may have: a quarter of what
// the host can number, so that a fork bomb harms its own task alone.
func taskPIDs() (string, error) {
	const path = "/proc/sys/kernel/pid_max"
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	most, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return strconv.Itoa(most / 4), nil
}

// makeDirs makes a cgroup directory and those above it. Another instance may be
// removing the one that they share at the same time: then it is made again.
func makeDirs(dir string) (err error) {
	for range 10 {
		if err = os.MkdirAll(dir, 0o755); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("make a cgroup: %w", err)
	}
	return nil
}

type setting struct{ file, value string }

func (c *cgroups) setV1(controller, task string, settings []setting) error {
	dir := filepath.Join(c.v1[controller], c.base, task)
	if err := makeDirs(dir); err != nil {
		return err
	}
	return set(dir, settings)
}

func set(dir string, settings []setting) error {
	for _, s := range settings {
		if err := writeFile(filepath.Join(dir, s.file), s.value); err != nil {
			return fmt.Errorf("limit a task to %s %s: %w", s.file, s.value, err)
		}
	}
	return nil
}

func (c *cgroups) makeTaskV2(s runtime.Sandbox) error {
	dir := filepath.Join(c.v2, c.base, s.ID)
	if err := makeDirs(dir); err != nil {
		return err
	}
	// A controller works in a directory if the one above passes it on.
	at := c.v2
	for part := range strings.SplitSeq(strings.TrimPrefix(c.base, "/")+"/"+s.ID, "/") {
		if err := passOn(at); err != nil {
			return err
		}
		at = filepath.Join(at, part)
	}
	if err := passOn(at); err != nil {
		return err
	}
	cpu, memory := "max", "max"
	if s.CPU > 0 {
		cpu = strconv.FormatInt(int64(s.CPU)*cpuPeriod/1024, 10)
	}
	if s.Memory > 0 {
		memory = strconv.FormatInt(int64(s.Memory)<<20, 10)
	}
	settings := []setting{{"cpu.max", cpu + " " + strconv.Itoa(cpuPeriod)}, {"memory.max", memory}}
	if _, err := os.Stat(filepath.Join(dir, "memory.swap.max")); err == nil && s.Memory > 0 {
		settings = append(settings, setting{"memory.swap.max", "0"})
	}
	if _, err := os.Stat(filepath.Join(dir, "pids.max")); err == nil {
		pids, err := taskPIDs()
		if err != nil {
			return err
		}
		settings = append(settings, setting{"pids.max", pids})
	}
	return set(dir, settings)
}

// passOn lets the directories below use the controllers that containers need.
func passOn(dir string) error {
	have, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("read the cgroup controllers: %w", err)
	}
	var add []string
	for _, name := range strings.Fields(string(have)) {
		if slices.Contains([]string{"cpu", "cpuset", "io", "memory", "pids"}, name) {
			add = append(add, "+"+name)
		}
	}
	for _, need := range []string{"+cpu", "+memory"} {
		if !slices.Contains(add, need) {
			return fmt.Errorf("cgroup controller %s is not available in %s: enable it in the cgroup.subtree_control above", need[1:], dir)
		}
	}
	if err := writeFile(filepath.Join(dir, "cgroup.subtree_control"), strings.Join(add, " ")); err != nil {
		return fmt.Errorf("pass the cgroup controllers on: %w", err)
	}
	return nil
}

// oomKilled tells whether the kernel has ended a process of the container for
// want of memory, be it the container's own limit or the task's. The count is of
// victims in that cgroup, so a neighbour's end doesn't show here.
func (c *cgroups) oomKilled(task, id string) bool {
	name, root := "memory.events", c.v2
	if c.v2 == "" {
		name, root = "memory.oom_control", c.v1["memory"]
	}
	f, err := os.Open(filepath.Join(root, c.container(task, id), name))
	if err != nil {
		return false // the host was restarted: the cgroup and the answer are gone
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if count, ok := strings.CutPrefix(lines.Text(), "oom_kill "); ok {
			return count != "0"
		}
	}
	return false
}

// holds tells whether a process is in the cgroup path or below it.
func (c *cgroups) holds(path string, pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return false
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		// hierarchy:controllers:path
		if parts := strings.SplitN(line, ":", 3); len(parts) == 3 && (parts[2] == path || strings.HasPrefix(parts[2], path+"/")) {
			return true
		}
	}
	return false
}

// kill ends all processes in the cgroup path and below, and returns when they
// are gone. None can be put there afterwards: the cgroup is to be removed.
func (c *cgroups) kill(path string) error {
	// On a busy host, a fork bomb makes processes as fast as they are ended.
	for _, root := range c.trees() {
		if file := filepath.Join(root, path, "pids.max"); exists(file) {
			if err := writeFile(file, "0"); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("keep processes from being made: %w", err)
			}
		}
	}
	// Those killed may have made others meanwhile, so look again until none is
	// left. Each round ends all it saw.
	for round := range 100 {
		pids, err := c.processes(path)
		if err != nil {
			return err
		}
		if len(pids) == 0 {
			return nil
		}
		if round > 10 {
			// The kernel takes a process out of its cgroup some time after it has told
			// of its end, and tells nobody.
			time.Sleep(time.Duration(round) * 100 * time.Microsecond)
		}
		for _, pid := range pids {
			if err := killAndWait(pid, func() bool { return c.holds(path, pid) }); err != nil {
				return fmt.Errorf("end process %d of cgroup %s: %w", pid, path, err)
			}
		}
	}
	return fmt.Errorf("processes in cgroup %s come faster than they can be ended", path)
}

// processes lists the processes in the cgroup path and below, in any tree: one
// that is just being put there may not be in all yet.
func (c *cgroups) processes(path string) ([]int, error) {
	var pids []int
	for _, root := range c.trees() {
		err := filepath.WalkDir(filepath.Join(root, path), func(dir string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return ignoreGone(err)
			}
			data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
			if err != nil {
				return ignoreGone(err)
			}
			for field := range strings.FieldsSeq(string(data)) {
				// 0 is a process of another PID namespace that can't be seen from here.
				if pid, err := strconv.Atoi(field); err == nil && pid > 0 && !slices.Contains(pids, pid) {
					pids = append(pids, pid)
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("list the processes of a cgroup: %w", err)
		}
	}
	return pids, nil
}

// remove removes the cgroup path and all below it from all trees. No process
// may be in it.
func (c *cgroups) remove(path string) error {
	var errs []error
	for _, root := range c.trees() {
		top := filepath.Join(root, path)
		var dirs []string
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return ignoreGone(err)
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("list cgroup %s: %w", top, err))
		}
		slices.Reverse(dirs) // the deepest first
		for _, dir := range dirs {
			if err := rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
				errs = append(errs, fmt.Errorf("remove cgroup %s: %w", dir, err))
			}
		}
	}
	return errors.Join(errs...)
}

// rmdir removes a cgroup whose processes have ended. The kernel takes a process
// out of its cgroup only after it has told of its end, and cgroup v1 tells
// nobody of that: so a busy cgroup without processes is tried again, for a
// moment.
func rmdir(dir string) error {
	var err error
	for wait := 100 * time.Microsecond; wait < time.Second; wait *= 2 {
		if err = unix.Rmdir(dir); !errors.Is(err, unix.EBUSY) {
			return err
		}
		if procs, err := os.ReadFile(filepath.Join(dir, "tasks")); err == nil && len(procs) > 0 {
			break // somebody lives here
		}
		time.Sleep(wait)
	}
	return err
}

// removeAll removes the instance's cgroups, and the directory that all instances
// share if this was the last.
func (c *cgroups) removeAll() error {
	err := c.remove(c.base)
	for _, root := range c.trees() {
		unix.Rmdir(filepath.Join(root, filepath.Dir(c.base))) // fails while others are in it
	}
	return err
}

// ignoreGone takes an error for none if it says that the thing is not there.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// writeFile writes to a file of the kernel's: no creation, no truncation.
func writeFile(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(value)
	return err
}
