package crun

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth/berth/agent/runtime"
)

// ociVersion is the newest that crun 1.8 takes.
const ociVersion = "1.0.2"

// initPath is where the small init is in a container that asks for one.
const initPath = "/sbin/docker-init"

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// maskedPaths and readonlyPaths keep what is the host's of /proc and /sys from
// the container. They are the lists of Docker and containerd.
var (
	maskedPaths = []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
		"/sys/devices/virtual/powercap", "/sys/firmware",
	}
	readonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// config is the OCI runtime's configuration of a container.
func (r *Runtime) config(rec record, ns joined) (*specs.Spec, error) {
	spec := rec.Spec
	caps := r.host.capabilities(spec.CapAdd, spec.CapDrop)
	if spec.Privileged {
		caps = r.host.capabilities([]string{"ALL"}, nil)
	}
	limits, err := r.host.rlimits(spec.Ulimits)
	if err != nil {
		return nil, err
	}
	args, mounts := spec.Args, r.withShm(containerMounts(spec), spec)
	if spec.Pause {
		if args, err = r.pauseArgs(); err != nil {
			return nil, err
		}
		mounts = append(mounts, bind(runtime.Mount{Source: r.pause, Target: pausePath, ReadOnly: true}))
	}
	if spec.Init {
		if r.init == "" {
			return nil, fmt.Errorf("the container asks for an init process, and the host has none: install tini or catatonit")
		}
		args = append([]string{initPath, "--"}, args...)
		mounts = append(mounts, bind(runtime.Mount{Source: r.init, Target: initPath, ReadOnly: true}))
	}
	cwd := spec.WorkingDir
	if cwd == "" {
		cwd = "/"
	}
	c := &specs.Spec{
		Version: ociVersion,
		Root:    &specs.Root{Path: rootfsDir, Readonly: spec.ReadonlyRootfs},
		Process: &specs.Process{
			Args:            args,
			Env:             environment(spec.Env),
			Cwd:             cwd,
			User:            rec.User.oci(),
			Capabilities:    &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
			Rlimits:         limits,
			NoNewPrivileges: !spec.AllowNewPrivs,
			Terminal:        spec.Terminal,
		},
		Hostname: spec.Hostname,
		Mounts:   mounts,
		Linux: &specs.Linux{
			CgroupsPath:   r.cgroups.container(spec.Sandbox, spec.ID),
			Namespaces:    namespaces(ns),
			Resources:     r.resources(spec),
			MaskedPaths:   maskedPaths,
			ReadonlyPaths: readonlyPaths,
			Sysctl:        spec.Sysctls,
		},
	}
	if spec.Privileged {
		c.Linux.MaskedPaths, c.Linux.ReadonlyPaths = nil, nil
	}
	if err := addDevices(c, spec); err != nil {
		return nil, err
	}
	if !spec.Privileged && !spec.NoSeccomp {
		r.filters.set(c)
	}
	if r.engine(spec.Runtime).kind == isRunsc {
		return c, forRunsc(c, spec)
	}
	return c, nil
}

func namespaces(join joined) []specs.LinuxNamespace {
	all := []specs.LinuxNamespace{{Type: specs.UTSNamespace}, {Type: specs.MountNamespace}, {Type: specs.CgroupNamespace}}
	for _, ns := range []specs.LinuxNamespace{
		{Type: specs.NetworkNamespace, Path: join.net}, {Type: specs.PIDNamespace, Path: join.pid}, {Type: specs.IPCNamespace, Path: join.ipc},
	} {
		if ns.Path != runtime.HostNS {
			all = append(all, ns)
		}
	}
	return all
}

// containerMounts are the kernel's file systems, then the given mounts, those
// higher in the tree first, so that none covers another.
func containerMounts(spec runtime.Spec) []specs.Mount {
	shm, rw := shmSize(spec), "ro"
	if spec.Privileged {
		rw = "rw"
	}
	mounts := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", fmt.Sprint("size=", shm)}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", rw}},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", rw}},
	}
	if spec.IPCNS == runtime.HostNS { // the host's own
		mounts = slices.DeleteFunc(mounts, func(m specs.Mount) bool { return m.Destination == "/dev/shm" || m.Destination == "/dev/mqueue" })
		for _, dir := range []string{"/dev/shm", "/dev/mqueue"} {
			if exists(dir) {
				mounts = append(mounts, bind(runtime.Mount{Source: dir, Target: dir}))
			}
		}
	}
	if spec.NetNS == runtime.HostNS { // a new sysfs needs a network namespace of one's own
		for i, m := range mounts {
			if m.Destination == "/sys" {
				mounts[i] = specs.Mount{Destination: "/sys", Type: "bind", Source: "/sys", Options: []string{"rbind", "nosuid", "noexec", "nodev", rw}}
			}
		}
	}
	var given []specs.Mount
	for _, m := range spec.Mounts {
		given = append(given, bind(m))
	}
	for _, t := range spec.Tmpfs {
		options := slices.Clone(t.Options)
		for _, o := range []string{"suid", "dev", "exec"} { // as Docker has it, unless asked for
			if !slices.Contains(options, o) {
				options = append(options, "no"+o)
			}
		}
		if t.Size > 0 {
			options = append(options, fmt.Sprint("size=", t.Size))
		}
		given = append(given, specs.Mount{Destination: t.Target, Type: "tmpfs", Source: "tmpfs", Options: options})
	}
	depth := func(m specs.Mount) int { return strings.Count(strings.TrimRight(m.Destination, "/"), "/") }
	slices.SortStableFunc(given, func(a, b specs.Mount) int { return depth(a) - depth(b) })
	return append(mounts, given...)
}

func bind(m runtime.Mount) specs.Mount {
	options := []string{"rbind", "rprivate"}
	if m.ReadOnly {
		options = append(options, "ro")
	}
	return specs.Mount{Destination: m.Target, Type: "bind", Source: m.Source, Options: options}
}

// environment adds a PATH if there is none.
func environment(env []string) []string {
	if slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, "PATH=") }) {
		return env
	}
	return append(slices.Clone(env), defaultPath)
}

func (r *Runtime) resources(spec runtime.Spec) *specs.LinuxResources {
	shares := max(spec.CPUShares, 2) // the kernel's least
	res := &specs.LinuxResources{
		CPU: &specs.LinuxCPU{Shares: &shares},
		// The OCI runtime allows the few devices that it makes.
		Devices: []specs.LinuxDeviceCgroup{{Allow: spec.Privileged, Access: "rwm"}},
	}
	if spec.Memory == 0 && spec.MemoryReserved == 0 && spec.Swappiness == nil {
		return res
	}
	res.Memory = &specs.LinuxMemory{}
	if spec.Memory > 0 {
		res.Memory.Limit = &spec.Memory
		if r.cgroups.swap {
			both := spec.Memory // of memory and swap together: no swap
			if spec.Swap != nil {
				both += *spec.Swap
			}
			res.Memory.Swap = &both
		}
	}
	if r.cgroups.v2 == "" {
		res.Memory.Swappiness = spec.Swappiness
	}
	if spec.MemoryReserved > 0 {
		res.Memory.Reservation = &spec.MemoryReserved
	}
	return res
}

// unlimited is how a resource limit says so.
const unlimited = math.MaxUint64
