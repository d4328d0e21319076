package network

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/nftables"
)

// setting is a kernel setting of the host that Berth changes while it is there.
//
// That it did is remembered by a chain without use in the instance's table on
// the host: it is written before the setting is changed, it goes when a reboot
// resets the setting, and other instances see it. Each takes over the marks it
// finds, and the last to leave restores.
type setting struct {
	mark string
	file string // under /proc/sys/net
	// change and restore turn the present value into the one wanted.
	change, restore func(now string) string
	// optional settings can be missing or read-only.
	optional bool
}

func settings() []setting {
	return []setting{
		{
			mark: "forwarding-was-off", file: "ipv4/ip_forward",
			change:  func(string) string { return "1" },
			restore: func(string) string { return "0" },
		}, {
			// Task namespaces may only choose among what the host allows.
			mark: "cubic-was-not-allowed", file: "ipv4/tcp_allowed_congestion_control", optional: true,
			change: func(now string) string {
				if !prefersCubic() || slices.Contains(strings.Fields(now), "cubic") {
					return now
				}
				return now + " cubic"
			},
			restore: func(now string) string {
				return strings.Join(slices.DeleteFunc(strings.Fields(now), func(s string) bool { return s == "cubic" }), " ")
			},
		},
	}
}

// prefersCubic says whether the calling thread's namespace would send with BBR
// and has cubic, which carries twice as much between tasks of a host.
func prefersCubic() bool {
	now, _ := readSysctl("ipv4/tcp_congestion_control")
	available, _ := readSysctl("ipv4/tcp_available_congestion_control")
	return now == "bbr" && slices.Contains(strings.Fields(available), "cubic")
}

// sysctl writes a kernel setting of the calling thread's namespace.
func sysctl(name, value string) error {
	path := filepath.Join("/proc/sys/net", name)
	return explain("set "+path+" to "+value, os.WriteFile(path, []byte(value), 0o644))
}

func readSysctl(name string) (string, error) {
	path := filepath.Join("/proc/sys/net", name)
	b, err := os.ReadFile(path)
	return strings.TrimSpace(string(b)), explain("read "+path, err)
}

// readOnly says that the kernel has the setting for another namespace to change.
func readOnly(name string) bool {
	f, err := os.Stat(filepath.Join("/proc/sys/net", name))
	return err == nil && f.Mode()&0o200 == 0
}

// quietIPv6 turns IPv6 off on a link where the kernel has it at all.
func quietIPv6(link string) error {
	err := sysctl("ipv6/conf/"+link+"/disable_ipv6", "1")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// set makes the host's settings what Berth needs. write is called with all marks
// before the first setting is changed. The caller holds the host's lock.
func (h *host) set(write func(marks []string) error) error {
	marks, _, err := h.marks()
	if err != nil {
		return err
	}
	return h.ns.do(func() error {
		var changes []setting
		for _, s := range settings() {
			now, err := readSysctl(s.file)
			if s.optional && (err != nil || readOnly(s.file)) {
				continue
			} else if err != nil {
				return err
			}
			if s.change(now) != now {
				changes = append(changes, s)
				marks = append(marks, s.mark)
			}
		}
		slices.Sort(marks)
		if err := write(slices.Compact(marks)); err != nil {
			return err
		}
		for _, s := range changes {
			now, err := readSysctl(s.file)
			if err == nil {
				err = sysctl(s.file, s.change(now))
			}
			if err != nil && s.optional {
				h.log.Info("going on without a setting of the host", "error", err)
			} else if err != nil {
				return err
			}
		}
		return nil
	})
}

// restore gives the settings back if no other instance is left. The caller holds
// the host's lock.
func (h *host) restore() error {
	marks, others, err := h.marks()
	if err != nil || others {
		return err
	}
	return h.ns.do(func() error {
		for _, s := range settings() {
			if !slices.Contains(marks, s.mark) {
				continue
			}
			now, err := readSysctl(s.file)
			if err == nil && s.restore(now) != now {
				err = sysctl(s.file, s.restore(now))
			}
			if err != nil && !s.optional {
				return err
			}
		}
		return nil
	})
}

// marks reads what instances have changed on the host, and whether there are
// others than ours. It warns of what would stop forwarded packets.
func (h *host) marks() (marks []string, others bool, err error) {
	chains, err := h.nft.conn.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return nil, false, explain("list nftables chains of the host", err)
	}
	for _, c := range chains {
		switch {
		case strings.HasPrefix(c.Table.Name, tablePrefix):
			others = others || c.Table.Name != h.table.Name
			if slices.ContainsFunc(settings(), func(s setting) bool { return s.mark == c.Name }) {
				marks = append(marks, c.Name)
			}
		case c.Hooknum != nil && *c.Hooknum == *nftables.ChainHookForward && c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop:
			h.log.Warn("the host drops forwarded packets that no rule of its own accepts: tasks reach nothing beyond the host until one does",
				"table", c.Table.Name, "chain", c.Name,
				"remedy", "iptables -I DOCKER-USER -i bv+ -j ACCEPT; iptables -I DOCKER-USER -o bv+ -j ACCEPT (chain FORWARD where there is no Docker)")
		}
	}
	return marks, others, nil
}
