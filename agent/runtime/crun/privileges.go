package crun

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth/berth/agent/runtime"
)

// defaultCapabilities is Docker's set, which ECS gives containers.
var defaultCapabilities = []string{
	"CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
	"NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
}

// rlimits are the kernel's numbers of runtime.UlimitNames.
var rlimits = map[string]int{
	"core": unix.RLIMIT_CORE, "cpu": unix.RLIMIT_CPU, "data": unix.RLIMIT_DATA, "fsize": unix.RLIMIT_FSIZE,
	"locks": unix.RLIMIT_LOCKS, "memlock": unix.RLIMIT_MEMLOCK, "msgqueue": unix.RLIMIT_MSGQUEUE,
	"nice": unix.RLIMIT_NICE, "nofile": unix.RLIMIT_NOFILE, "nproc": unix.RLIMIT_NPROC, "rss": unix.RLIMIT_RSS,
	"rtprio": unix.RLIMIT_RTPRIO, "rttime": unix.RLIMIT_RTTIME, "sigpending": unix.RLIMIT_SIGPENDING,
	"stack": unix.RLIMIT_STACK,
}

// privileges is what this process may give to containers.
type privileges struct {
	log   *slog.Logger
	caps  uint64
	clips sync.Once
	lacks sync.Once
}

func findPrivileges(log *slog.Logger) (*privileges, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil, fmt.Errorf("read this process's capabilities: %w", err)
	}
	caps := ^uint64(0)
	for line := range strings.SplitSeq(string(status), "\n") {
		for _, set := range []string{"CapPrm:", "CapBnd:"} {
			if value, ok := strings.CutPrefix(line, set); ok {
				bits, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
				if err != nil {
					return nil, fmt.Errorf("read this process's capabilities: %w", err)
				}
				caps &= bits
			}
		}
	}
	return &privileges{log: log, caps: caps}, nil
}

func (p *privileges) has(name string) bool {
	i := slices.Index(runtime.CapabilityNames, name)
	return i >= 0 && p.caps&(1<<i) != 0
}

// capabilities is the default set with additions and removals, as far as this
// process has them itself.
func (p *privileges) capabilities(add, drop []string) []string {
	add, drop = capabilityList(add), capabilityList(drop)
	wanted := defaultCapabilities
	switch {
	case slices.Contains(add, "ALL"):
		wanted = runtime.CapabilityNames
	case slices.Contains(drop, "ALL"):
		wanted = nil
	}
	var set, missing []string
	for _, name := range runtime.CapabilityNames {
		if !slices.Contains(add, name) && (!slices.Contains(wanted, name) || slices.Contains(drop, name)) {
			continue
		}
		if !p.has(name) {
			missing = append(missing, name)
			continue
		}
		set = append(set, "CAP_"+name)
	}
	if len(missing) > 0 {
		p.clips.Do(func() {
			p.log.Warn("containers cannot have capabilities that Berth does not have itself", "missing", missing)
		})
	}
	return set
}

func capabilityList(names []string) []string {
	var list []string
	for _, name := range names {
		list = append(list, runtime.CapabilityName(name))
	}
	return list
}

// rlimits are a container's resource limits. A host that withholds
// CAP_SYS_RESOURCE doesn't let them be above this process's own.
func (p *privileges) rlimits(ulimits []runtime.Ulimit) ([]specs.POSIXRlimit, error) {
	var limits []specs.POSIXRlimit
	for _, u := range ulimits {
		hard, soft := limitOf(u.Hard), limitOf(u.Soft)
		if !p.has("SYS_RESOURCE") {
			var own unix.Rlimit
			if err := unix.Getrlimit(rlimits[u.Name], &own); err != nil {
				return nil, fmt.Errorf("read the host's limit of %s: %w", u.Name, err)
			}
			if hard > own.Max {
				p.lacks.Do(func() {
					p.log.Warn("the host withholds CAP_SYS_RESOURCE, so containers' ulimits stay below Berth's own",
						"ulimit", u.Name, "wanted", hard, "given", own.Max)
				})
				hard = own.Max
			}
		}
		if u.Name == "nofile" {
			// Whatever a process may do: the kernel takes none above this one.
			most, err := maxOpenFiles()
			if err != nil {
				return nil, err
			}
			hard = min(hard, most)
		}
		limits = append(limits, specs.POSIXRlimit{
			Type: "RLIMIT_" + strings.ToUpper(u.Name), Hard: hard, Soft: min(soft, hard),
		})
	}
	return limits, nil
}

// maxOpenFiles is the most files that the kernel lets a process have open.
func maxOpenFiles() (uint64, error) {
	const path = "/proc/sys/fs/nr_open"
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", path, err)
	}
	return n, nil
}

func limitOf(n int64) uint64 {
	if n < 0 {
		return unlimited
	}
	return uint64(n)
}
