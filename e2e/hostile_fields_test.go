package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
)

// Definitions that try to get out of their containers, or to take what is
// others'. What can't be is refused, or fails to start and says why; the host,
// Berth and a neighbour are as they were.
func TestHostileFields(t *testing.T) {
	t.Parallel()
	h := newFieldHost(t)
	n := h.neighbour(t)
	mark := fmt.Sprintf("berth-e2e-mark-fields-%d", os.Getpid())
	h.vars["$mark"], h.vars["$60k"] = mark, strings.Repeat("x", 60_000)
	before := hostState(t)
	t.Run("cases", func(t *testing.T) {
		for _, c := range fieldCases(t, "hostile") {
			for _, mode := range c.modes() {
				op := ""
				if ops := c.launches(mode); len(ops) > 0 {
					op = ops[0]
				}
				t.Run(strings.Join(c.fields, " ")+" "+mode, func(t *testing.T) {
					t.Parallel()
					h.play(t, c, mode, op)
				})
			}
		}
	})
	for _, pattern := range []string{"/" + mark + "*", "/*/" + mark + "*"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) > 0 {
			t.Errorf("made on the host: %v, %v", found, err)
		}
	}
	if after := hostState(t); after != before {
		t.Errorf("the host was\n%s\nand is\n%s", before, after)
	}
	if peak := h.memoryPeak(t); peak > 512 {
		t.Errorf("Berth held %d MiB", peak)
	}
	n.unharmed(t, h.host)
	h.unbroken(t)
	// All of them can be stopped.
	for p := ecs.NewListTasksPaginator(h.ecs, &ecs.ListTasksInput{}); p.HasMorePages(); {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, arn := range page.TaskArns {
			h.stop(t, arn)
		}
	}
}

// hostState is of the host what containers have for themselves, and might set.
func hostState(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, path := range []string{
		"kernel/core_pattern", "kernel/hostname", "kernel/msgmax", "kernel/shmmax", "net/core/rmem_max", "net/core/somaxconn", "net/ipv4/ip_unprivileged_port_start", "net/netfilter/nf_conntrack_max",
	} {
		value, err := os.ReadFile("/proc/sys/" + path)
		fmt.Fprintf(&b, "%s %s %v\n", path, strings.TrimSpace(string(value)), err != nil)
	}
	for _, path := range []string{"/etc/hosts", "/etc/resolv.conf", "/etc/passwd", "/etc/shadow"} {
		info, err := os.Lstat(path)
		if err != nil {
			continue
		}
		fmt.Fprintf(&b, "%s %v %d %v\n", path, info.Mode(), info.Size(), info.ModTime())
	}
	return b.String()
}
