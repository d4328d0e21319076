package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
)

// leftovers lists what an instance has left on the host: network namespaces,
// links, nftables tables, mounts, cgroups and processes that carry its ID or
// its directory.
func leftovers(id, dir string) []string {
	var left []string
	found := func(kind, what string) { left = append(left, kind+" "+what) }
	mine := func(s string) bool { return strings.Contains(s, id) || strings.Contains(s, dir) }

	names, _ := filepath.Glob("/run/netns/*")
	for _, n := range names {
		if mine(n) {
			found("netns", n)
		}
	}
	if links, err := netlink.LinkList(); err != nil {
		found("error", err.Error())
	} else {
		for _, l := range links {
			if mine(l.Attrs().Name) || mine(l.Attrs().Alias) {
				found("link", l.Attrs().Name)
			}
		}
	}
	if c, err := nftables.New(); err != nil {
		found("error", err.Error())
	} else if tables, err := c.ListTables(); err != nil {
		found("error", err.Error())
	} else {
		for _, t := range tables {
			if mine(t.Name) {
				found("nft table", t.Name)
			}
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		found("error", err.Error())
	}
	for line := range strings.Lines(string(mounts)) {
		if mine(line) {
			found("mount", strings.TrimSpace(line))
		}
	}
	filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && mine(path) {
			found("cgroup", path)
			return filepath.SkipDir
		}
		return nil
	})
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range lines {
		b, err := os.ReadFile(p)
		args := string(bytes.ReplaceAll(b, []byte{0}, []byte{' '}))
		if err == nil && mine(args) && !strings.HasPrefix(p, fmt.Sprintf("/proc/%d/", os.Getpid())) {
			found("process", p+" "+args)
		}
	}
	return left
}
