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
			if err := command("ctr", "-n", namespace, "task", "rm", "-f", n); err != nil {
				return err
			}
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
	for _, d := range []string{"dev", "proc"} {
		if err := os.MkdirAll(filepath.Join(bundle, "rootfs", d), 0o755); err != nil {
			return nil, err
		}
	}
	b, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(bundle, "rootfs", "probe"), b, 0o755); err != nil {
		return nil, err
	}
	if err := defaultSpec(bundle); err != nil {
		return nil, err
	}
	// crun refuses a host whose cgroup v1 tree also holds a cgroup2 mount with
	// controllers, so it runs where a tmpfs covers that mount.
	script := `[ -d /sys/fs/cgroup/unified ] && mount -t tmpfs tmpfs /sys/fs/cgroup/unified; exec crun --root "$1" --cgroup-manager=cgroupfs run -d --bundle "$2" "$3" </dev/null >/dev/null 2>&1`
	state := filepath.Join(root, "state")
	return &peer{
		name: "crun run (bare)",
		launch: func(n string) error {
			return command("unshare", "-m", "sh", "-c", script, "sh", state, bundle, n)
		},
		remove: func(n string) error {
			return command("unshare", "-m", "sh", "-c", `[ -d /sys/fs/cgroup/unified ] && mount -t tmpfs tmpfs /sys/fs/cgroup/unified; exec crun --root "$1" delete -f "$2"`, "sh", state, n)
		},
		close: func() {},
	}, nil
}

// defaultSpec writes the configuration that `crun spec` proposes, with the
// probe as its program.
func defaultSpec(bundle string) error {
	path := filepath.Join(bundle, "config.json")
	if err := command("crun", "spec", "--bundle", bundle); err != nil {
		return err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var spec map[string]any
	if err := json.Unmarshal(b, &spec); err != nil {
		return err
	}
	process := spec["process"].(map[string]any)
	process["args"], process["terminal"] = []string{"/probe", "wait"}, false
	if b, err = json.Marshal(spec); err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}
