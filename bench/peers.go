package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// peer starts one container of the probe image and returns when its process
// runs; remove ends it. Both are commands as a person would type them.
type peer struct {
	name   string
	launch func(name string) error
	remove func(name string) error
	close  func()
}

// peers returns those that are installed and answer.
func peers(dir, image, program string) []peer {
	var all []peer
	for _, make := range []func(dir, image, program string) (*peer, error){crun, docker, ctr} {
		p, err := make(dir, image, program)
		if err != nil {
			fmt.Printf("left out: %v\n", err)
			continue
		}
		all = append(all, *p)
	}
	return all
}

func command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

func docker(dir, image, program string) (*peer, error) {
	if err := command("docker", "info"); err != nil {
		return nil, fmt.Errorf("docker: no daemon answers")
	}
	if err := command("docker", "load", "-i", image); err != nil {
		return nil, err
	}
	return &peer{
		name:   "docker run -d",
		launch: func(n string) error { return command("docker", "run", "-d", "--name", n, "probe:latest", "wait") },
		remove: func(n string) error { return command("docker", "rm", "-f", n) },
		close:  func() { command("docker", "rmi", "probe:latest") },
	}, nil
}

func ctr(dir, image, program string) (*peer, error) {
	const namespace = "berth-bench"
	if err := command("ctr", "-n", namespace, "version"); err != nil {
		return nil, fmt.Errorf("ctr: no containerd answers")
	}
	if err := command("ctr", "-n", namespace, "images", "import", image); err != nil {
		return nil, err
	}
	return &peer{
		name: "ctr run -d",
		launch: func(n string) error {
			return command("ctr", "-n", namespace, "run", "-d", "docker.io/library/probe:latest", n, "/probe", "wait")
		},
		remove: func(n string) error {
			command("ctr", "-n", namespace, "task", "kill", "-s", "KILL", n)
			return command("ctr", "-n", namespace, "container", "rm", n)
		},
		close: func() { command("ctr", "-n", namespace, "images", "rm", "docker.io/library/probe:latest") },
	}, nil
}

// crun runs the program from an unpacked directory, with neither image store
// nor network: the floor.
func crun(dir, image, program string) (*peer, error) {
	if _, err := exec.LookPath("crun"); err != nil {
		return nil, err
	}
	root := filepath.Join(dir, "crun")
	bundle := filepath.Join(root, "bundle")
	if err := os.MkdirAll(filepath.Join(bundle, "rootfs"), 0o755); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(bundle, "rootfs", "probe"), b, 0o755); err != nil {
		return nil, err
	}
	namespaces := []map[string]string{{"type": "pid"}, {"type": "mount"}, {"type": "uts"}, {"type": "ipc"}, {"type": "network"}}
	spec, err := json.Marshal(map[string]any{
		"ociVersion": "1.0.2",
		"process":    map[string]any{"args": []string{"/probe", "wait"}, "cwd": "/", "user": map[string]int{"uid": 0, "gid": 0}},
		"root":       map[string]any{"path": "rootfs"},
		"mounts":     []map[string]any{{"destination": "/proc", "type": "proc", "source": "proc"}},
		"linux":      map[string]any{"namespaces": namespaces},
	})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), spec, 0o644); err != nil {
		return nil, err
	}
	// crun refuses a host whose cgroup v1 tree also holds a cgroup2 mount with
	// controllers, so it runs where that mount is gone.
	script := `umount /sys/fs/cgroup/unified 2>/dev/null; exec crun --root "$1" --cgroup-manager=cgroupfs run -d --bundle "$2" "$3" </dev/null >/dev/null 2>&1`
	state := filepath.Join(root, "state")
	return &peer{
		name: "crun run (bare)",
		launch: func(n string) error {
			return command("unshare", "-m", "sh", "-c", script, "sh", state, bundle, n)
		},
		remove: func(n string) error {
			return command("unshare", "-m", "sh", "-c", `umount /sys/fs/cgroup/unified 2>/dev/null; exec crun --root "$1" delete -f "$2"`, "sh", state, n)
		},
		close: func() {},
	}, nil
}
