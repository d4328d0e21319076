package runtime

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// ids may be part of a path and of a cgroup's name.
var ids = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)

// sysctls are names of kernel parameters.
var sysctls = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)+$`)

// CheckID refuses an ID that cannot be part of a path: what is a container's or
// a sandbox's, for the error.
func CheckID(what, id string) error {
	if !ids.MatchString(id) {
		return fmt.Errorf("%s ID %q: must be letters, digits, '_', '.' or '-', at most 128, and begin with a letter or digit", what, id)
	}
	return nil
}

// CheckSpec refuses a specification that no implementation can run, whatever
// the image and the host.
func CheckSpec(s Spec) error {
	if err := CheckID("container", s.ID); err != nil {
		return err
	}
	if err := CheckID("sandbox", s.Sandbox); err != nil {
		return err
	}
	if len(s.Args) == 0 && !s.Pause {
		return fmt.Errorf("container %s has no command", s.ID)
	}
	if s.WorkingDir != "" && !filepath.IsAbs(s.WorkingDir) {
		return fmt.Errorf("container %s begins in %q: must be an absolute path", s.ID, s.WorkingDir)
	}
	for _, m := range s.Mounts {
		if !filepath.IsAbs(m.Target) || !filepath.IsAbs(m.Source) {
			return fmt.Errorf("container %s mounts %q on %q: both must be absolute paths", s.ID, m.Source, m.Target)
		}
	}
	for _, m := range s.Tmpfs {
		if !filepath.IsAbs(m.Target) {
			return fmt.Errorf("container %s has a tmpfs on %q: must be an absolute path", s.ID, m.Target)
		}
	}
	for _, d := range s.Devices {
		if !filepath.IsAbs(d.Target) || !filepath.IsAbs(d.Source) {
			return fmt.Errorf("container %s has device %q as %q: both must be absolute paths", s.ID, d.Source, d.Target)
		}
	}
	for name := range s.Sysctls {
		if !sysctls.MatchString(name) {
			return fmt.Errorf("container %s has the kernel parameter %q: must be words with dots between", s.ID, name)
		}
	}
	for _, u := range s.Ulimits {
		if !slices.Contains(UlimitNames, u.Name) {
			return fmt.Errorf("container %s has ulimit %q: there is no such one", s.ID, u.Name)
		}
	}
	for _, name := range slices.Concat(s.CapAdd, s.CapDrop) {
		if plain := CapabilityName(name); plain != "ALL" && !slices.Contains(CapabilityNames, plain) {
			return fmt.Errorf("container %s has capability %q: there is no such one", s.ID, name)
		}
	}
	if err := checkArguments(s); err != nil {
		return fmt.Errorf("container %s: %w", s.ID, err)
	}
	return nil
}

// CapabilityNames has all capabilities in the kernel's order, without CAP_.
var CapabilityNames = []string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
	"LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
	"SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
	"SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
	"MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
	"CHECKPOINT_RESTORE",
}

// CapabilityName is a capability's name as CapabilityNames has it: "cap_chown"
// and "CHOWN" are the same.
func CapabilityName(s string) string { return strings.TrimPrefix(strings.ToUpper(s), "CAP_") }

// UlimitNames are the limits that a container can have.
var UlimitNames = []string{
	"core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio",
	"rttime", "sigpending", "stack",
}
