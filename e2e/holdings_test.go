package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// holdings lists what an instance has on the host for its tasks, sorted: network
// namespaces, ports in the VPCs' namespaces, the host's routes to tasks, cgroups
// of tasks and containers (each once, however many trees there are), root file
// systems, supervisors.
func holdings(id, dir string) ([]string, error) {
	has := map[string]bool{}
	var errs []error
	note := func(err error) { errs = append(errs, err) }
	names, err := filepath.Glob("/run/netns/berth-" + id + "-*")
	note(err)
	for _, path := range names {
		name := strings.TrimPrefix(filepath.Base(path), "berth-"+id+"-")
		if !strings.HasPrefix(name, "vpc-") {
			has["namespace "+name] = true
			continue
		}
		ports, err := linksIn(path)
		note(err)
		for _, p := range ports {
			if p != "lo" && p != "host0" {
				has["port "+p] = true
			}
		}
	}
	links, err := netlink.LinkList()
	note(err)
	for _, l := range links {
		if !strings.HasPrefix(l.Attrs().Name, "bv"+id) {
			continue
		}
		routes, err := netlink.RouteList(l, netlink.FAMILY_V4)
		note(err)
		for _, r := range routes {
			if r.Dst != nil && r.Protocol == 190 {
				has["route "+r.Dst.IP.String()] = true
			}
		}
	}
	trees, err := filepath.Glob("/sys/fs/cgroup/*/berth/" + id)
	note(err)
	for _, tree := range append(trees, "/sys/fs/cgroup/berth/"+id) {
		for _, pattern := range []string{"/*", "/*/*"} {
			groups, err := filepath.Glob(tree + pattern + "/cgroup.procs")
			note(err)
			for _, g := range groups {
				if name := strings.TrimPrefix(filepath.Dir(g), tree+"/"); name != "conmon" {
					has["cgroup "+name] = true
				}
			}
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	note(err)
	for _, m := range regexp.MustCompile(regexp.QuoteMeta(dir)+`/runtime/containers/([^/ ]+)/rootfs `).FindAllStringSubmatch(string(mounts), -1) {
		has["rootfs "+m[1]] = true
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	note(err)
	for _, p := range lines {
		b, err := os.ReadFile(p)
		args := strings.Split(string(b), "\x00")
		if i := slices.Index(args, "--cid"); err == nil && i > 0 && strings.Contains(string(b), dir) && filepath.Base(args[0]) == "conmon" {
			has["conmon "+args[i+1]] = true
		}
	}
	list := make([]string, 0, len(has))
	for h := range has {
		list = append(list, h)
	}
	slices.Sort(list)
	return list, errors.Join(errs...)
}

// linksIn lists the links of a network namespace.
func linksIn(path string) ([]string, error) {
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	defer ns.Close()
	handle, err := netlink.NewHandleAt(ns)
	if err != nil {
		return nil, fmt.Errorf("enter %s: %w", path, err)
	}
	defer handle.Close()
	links, err := handle.LinkList()
	var names []string
	for _, l := range links {
		names = append(names, l.Attrs().Name)
	}
	return names, err
}

// heldBy is what tasks that are RUNNING hold on the host, as holdings lists it.
func heldBy(tasks []types.Task) []string {
	var list []string
	for _, t := range tasks {
		id := (*t.TaskArn)[strings.LastIndex(*t.TaskArn, "/")+1:]
		list = append(list, "cgroup "+id)
		for _, d := range t.Attachments[0].Details {
			switch *d.Name {
			case "networkInterfaceId":
				list = append(list, "namespace "+*d.Value, "port p"+(*d.Value)[len(*d.Value)-14:])
			case "privateIPv4Address":
				list = append(list, "route "+*d.Value)
			}
		}
		for _, c := range t.Containers {
			if c.RuntimeId == nil {
				continue
			}
			// A container that has ended keeps its files and its cgroup until its
			// task ends.
			list = append(list, "rootfs "+*c.RuntimeId, "cgroup "+id+"/"+*c.RuntimeId)
			if aws.ToString(c.LastStatus) == "RUNNING" {
				list = append(list, "conmon "+*c.RuntimeId)
			}
		}
	}
	slices.Sort(list)
	return list
}

// difference says what of two sorted lists only one has.
func difference(have, want []string) string {
	var b strings.Builder
	for _, h := range have {
		if !slices.Contains(want, h) {
			fmt.Fprintf(&b, "%s is there and of no running task\n", h)
		}
	}
	for _, w := range want {
		if !slices.Contains(have, w) {
			fmt.Fprintf(&b, "%s of a running task is missing\n", w)
		}
	}
	return b.String()
}
