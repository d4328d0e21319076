package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sight is what a process in a container can tell of where it is.
type sight struct {
	Args     []string          `json:"args"`
	Env      map[string]string `json:"env"`
	UID      int               `json:"uid"`
	GID      int               `json:"gid"`
	Groups   []int             `json:"groups"`
	Cwd      string            `json:"cwd"`
	Hostname string            `json:"hostname"`
	Machine  string            `json:"machine"`
	PID      int               `json:"pid"`
	// Processes are the commands of all that there are, by ID.
	Processes  map[string]string `json:"processes"`
	Namespaces map[string]string `json:"namespaces"` // "pid": "pid:[4026531836]"
	// Limits are soft and hard, by the names of ulimits; -1 is unlimited.
	Limits map[string][2]int64 `json:"limits"`
	// Caps, NoNewPrivs and Seccomp are as in /proc/self/status.
	Caps       map[string]string `json:"caps"`
	NoNewPrivs bool              `json:"noNewPrivs"`
	Seccomp    bool              `json:"seccomp"`
	Sysctls    map[string]string `json:"sysctls"`
	Mounts     map[string]fsSeen `json:"mounts"` // by path; of several the last
	Writable   map[string]bool   `json:"writable"`
	// Devices are what is in /dev, "1:3" by name, and Opens whether those that the
	// container made of its own open.
	Devices map[string]string `json:"devices"`
	// Memory and CPU are the container's own cgroup's: limit, reservation,
	// swap (with memory) in bytes, swappiness, shares.
	Cgroup     map[string]int64    `json:"cgroup"`
	TTY        map[string]bool     `json:"tty"`   // stdin, stdout
	Stdin      string              `json:"stdin"` // open, or ended
	Interfaces map[string][]string `json:"interfaces"`
	Hosts      []string            `json:"hosts"`  // /etc/hosts: "address name …"
	Resolv     []string            `json:"resolv"` // /etc/resolv.conf
	// Metadata is what the container's metadata endpoint says of it.
	Metadata json.RawMessage `json:"metadata"`
}

type fsSeen struct {
	Type     string `json:"type"`
	Options  string `json:"options"`
	ReadOnly bool   `json:"readOnly"`
	MiB      uint64 `json:"mib"`
}

// sysctls are the kernel parameters that are looked at.
var sysctls = []string{
	"kernel.msgmax", "kernel.shmmax", "fs.mqueue.queues_max", "net.core.somaxconn", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.tcp_keepalive_time",
}

// rlimits are resource limits, by the names of ulimits, except nofile's.
var rlimits = map[string]int{
	"as": unix.RLIMIT_AS, "core": unix.RLIMIT_CORE, "cpu": unix.RLIMIT_CPU, "data": unix.RLIMIT_DATA, "fsize": unix.RLIMIT_FSIZE, "locks": unix.RLIMIT_LOCKS,
	"memlock": unix.RLIMIT_MEMLOCK, "msgqueue": unix.RLIMIT_MSGQUEUE, "nice": unix.RLIMIT_NICE, "nproc": unix.RLIMIT_NPROC, "rss": unix.RLIMIT_RSS,
	"rtprio": unix.RLIMIT_RTPRIO, "rttime": unix.RLIMIT_RTTIME, "sigpending": unix.RLIMIT_SIGPENDING, "stack": unix.RLIMIT_STACK, "nofile": unix.RLIMIT_NOFILE,
}

// see prints all that in one line of JSON. What can't be read is left out.
func see() error {
	s := sight{
		Args: os.Args, Env: map[string]string{}, UID: os.Getuid(), GID: os.Getgid(), PID: os.Getpid(),
		Processes: map[string]string{}, Namespaces: map[string]string{}, Limits: map[string][2]int64{}, Caps: map[string]string{},
		Sysctls: map[string]string{}, Mounts: map[string]fsSeen{}, Writable: map[string]bool{}, Devices: map[string]string{}, Cgroup: map[string]int64{},
		TTY: map[string]bool{}, Interfaces: map[string][]string{}, Hosts: linesOf("/etc/hosts"), Resolv: linesOf("/etc/resolv.conf"),
	}
	for _, kv := range os.Environ() {
		k, v, _ := strings.Cut(kv, "=")
		s.Env[k] = v
	}
	s.Groups, _ = os.Getgroups()
	s.Cwd, _ = os.Getwd()
	s.Hostname, _ = os.Hostname()
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		s.Machine = unix.ByteSliceToString(uts.Machine[:])
	}
	s.processes()
	s.limits()
	for _, name := range sysctls {
		if b, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/")); err == nil {
			s.Sysctls[name] = strings.Join(strings.Fields(string(b)), " ")
		}
	}
	s.mounts()
	s.devices()
	s.cgroup()
	s.terminals()
	links, _ := net.Interfaces()
	for _, l := range links {
		s.Interfaces[l.Name] = []string{}
		addresses, _ := l.Addrs()
		for _, a := range addresses {
			s.Interfaces[l.Name] = append(s.Interfaces[l.Name], a.String())
		}
	}
	if res, err := (&http.Client{Timeout: 5 * time.Second}).Get(s.Env["ECS_CONTAINER_METADATA_URI_V4"]); err == nil {
		b, err := io.ReadAll(res.Body)
		if res.Body.Close(); err == nil && json.Valid(b) {
			s.Metadata = b
		}
	}
	b, err := json.Marshal(s)
	if err == nil {
		fmt.Println("sight " + string(b))
	}
	return err
}

// linesOf is a file's lines, each with single spaces, without empty ones.
func linesOf(path string) []string {
	b, _ := os.ReadFile(path)
	lines := []string{}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 0 {
			lines = append(lines, strings.Join(f, " "))
		}
	}
	return lines
}

func (s *sight) processes() {
	dirs, _ := os.ReadDir("/proc")
	for _, d := range dirs {
		if _, err := strconv.Atoi(d.Name()); err != nil {
			continue
		}
		if comm, err := os.ReadFile("/proc/" + d.Name() + "/comm"); err == nil {
			s.Processes[d.Name()] = strings.TrimSpace(string(comm))
		}
	}
	for _, ns := range []string{"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"} {
		if to, err := os.Readlink("/proc/self/ns/" + ns); err == nil {
			s.Namespaces[ns] = to
		}
	}
	for _, line := range linesOf("/proc/self/status") {
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case strings.HasPrefix(name, "Cap"):
			s.Caps[name] = value
		case name == "NoNewPrivs":
			s.NoNewPrivs = value == "1"
		case name == "Seccomp":
			s.Seccomp = value != "0"
		}
	}
}

func (s *sight) limits() {
	signed := func(v uint64) int64 {
		if v == unix.RLIM_INFINITY {
			return -1
		}
		return int64(v)
	}
	for name, which := range rlimits {
		var l unix.Rlimit
		if unix.Getrlimit(which, &l) == nil {
			s.Limits[name] = [2]int64{signed(l.Cur), signed(l.Max)}
		}
	}
	// Go raises its own soft limit of files, and gives children what it got itself:
	// one that stops before it runs shows it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	child := exec.Command("/proc/self/exe")
	child.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if child.Start() != nil {
		return
	}
	for _, line := range linesOf(fmt.Sprintf("/proc/%d/limits", child.Process.Pid)) {
		if f := strings.Fields(line); strings.HasPrefix(line, "Max open files") && len(f) > 4 {
			soft, err := strconv.ParseInt(f[3], 10, 64)
			if err == nil {
				s.Limits["nofile"] = [2]int64{soft, s.Limits["nofile"][1]}
			}
		}
	}
	child.Process.Kill()
	child.Wait()
}

func (s *sight) mounts() {
	for _, line := range linesOf("/proc/self/mounts") {
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		m := fsSeen{Type: f[2], Options: f[3], ReadOnly: slices.Contains(strings.Split(f[3], ","), "ro")}
		var st unix.Statfs_t
		if unix.Statfs(f[1], &st) == nil {
			m.MiB = st.Blocks * uint64(st.Bsize) >> 20
		}
		s.Mounts[f[1]] = m
		if f[2] == "proc" || f[2] == "sysfs" || f[2] == "cgroup" || f[2] == "cgroup2" {
			continue
		}
		if info, err := os.Stat(f[1]); err == nil && info.IsDir() {
			made, err := os.CreateTemp(f[1], ".probe-")
			if err == nil {
				made.Close()
				os.Remove(made.Name())
			}
			s.Writable[f[1]] = err == nil
		}
	}
}

func (s *sight) devices() {
	filepath.WalkDir("/dev", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Type()&os.ModeDevice == 0 {
			return nil
		}
		var st unix.Stat_t
		if unix.Stat(path, &st) == nil && len(s.Devices) < 100 {
			s.Devices[path] = fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
		}
		return nil
	})
}

func (s *sight) cgroup() {
	for name, paths := range map[string][]string{
		"memory":      {"memory/memory.limit_in_bytes", "memory.max"},
		"reservation": {"memory/memory.soft_limit_in_bytes", "memory.low"},
		"withSwap":    {"memory/memory.memsw.limit_in_bytes"},
		"swappiness":  {"memory/memory.swappiness"},
		"shares":      {"cpu/cpu.shares", "cpu,cpuacct/cpu.shares", "cpu.weight"},
	} {
		for _, path := range paths {
			b, err := os.ReadFile("/sys/fs/cgroup/" + path)
			if n, bad := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && bad == nil {
				s.Cgroup[name] = n
			}
		}
	}
}

func (s *sight) terminals() {
	for name, fd := range map[string]int{"stdin": 0, "stdout": 1} {
		_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		s.TTY[name] = err == nil
	}
	ended := make(chan bool, 1)
	if s.TTY["stdin"] {
		s.Stdin = "terminal"
		return
	}
	go func() {
		_, err := os.Stdin.Read(make([]byte, 1))
		ended <- err != nil
	}()
	select {
	case <-ended:
		s.Stdin = "ended"
	case <-time.After(100 * time.Millisecond):
		s.Stdin = "open"
	}
}
