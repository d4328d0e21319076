package gpu

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/berth/berth/agent/runtime"
)

// VisibleDevices is the environment variable that tells a container's GPUs, by
// their IDs with commas (Amazon ECS Developer Guide, "Amazon ECS task definitions
// for GPU workloads").
const VisibleDevices = "NVIDIA_VISIBLE_DEVICES"

// controls are what all programs that compute open besides their GPUs.
var controls = []string{"nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset"}

// pattern is of the GPUs' own device files.
var pattern = regexp.MustCompile(`^nvidia(\d+)$`)

// Host is the GPUs of a host.
type Host struct {
	dir   string
	files map[string]string // by ID: the name of its device file
	ids   []string          // by the numbers of their files
}

// Find looks for GPUs among the device files of dir, which is /dev. proc is where
// the driver tells of its devices, /proc/driver/nvidia; for those that it doesn't
// tell of, an ID is made of node and the file's name, the same each time.
func Find(dir, proc, node string) (*Host, error) {
	h := &Host{dir: dir, files: map[string]string{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("look for GPUs: %w", err)
	}
	uuids, err := driverIDs(proc)
	if err != nil {
		return nil, fmt.Errorf("look for GPUs: %w", err)
	}
	numbers := map[string]int{}
	for _, e := range entries {
		found := pattern.FindStringSubmatch(e.Name())
		if found == nil || e.Type()&fs.ModeCharDevice == 0 {
			continue
		}
		n, err := strconv.Atoi(found[1])
		if err != nil {
			continue
		}
		id := uuids[n]
		if id == "" {
			id = madeID(node, e.Name())
		}
		h.files[id], numbers[id] = e.Name(), n
		h.ids = append(h.ids, id)
	}
	slices.SortFunc(h.ids, func(a, b string) int { return numbers[a] - numbers[b] })
	return h, nil
}

// driverIDs are the UUIDs that NVIDIA's driver gives its devices, by their minor
// numbers. Without a driver there are none.
func driverIDs(proc string) (map[int]string, error) {
	files, err := filepath.Glob(filepath.Join(proc, "gpus", "*", "information"))
	if err != nil {
		return nil, err
	}
	ids := map[int]string{}
	for _, file := range files {
		f, err := os.Open(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was just taken away
		}
		if err != nil {
			return nil, err
		}
		uuid, minor := "", -1
		for lines := bufio.NewScanner(f); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ":")
			switch value = strings.TrimSpace(value); strings.TrimSpace(name) {
			case "GPU UUID":
				uuid = value
			case "Device Minor":
				if n, err := strconv.Atoi(value); err == nil {
					minor = n
				}
			}
		}
		f.Close()
		if minor >= 0 && strings.HasPrefix(uuid, "GPU-") {
			ids[minor] = uuid
		}
	}
	return ids, nil
}

// madeID has the form of NVIDIA's.
func madeID(node, file string) string {
	sum := sha256.Sum256([]byte(node + "/" + file))
	return fmt.Sprintf("GPU-%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// IDs are the GPUs', in the order of their device files.
func (h *Host) IDs() []string {
	if h == nil {
		return nil
	}
	return slices.Clone(h.ids)
}

// Devices are what a container with some of the GPUs gets: their files, and those
// of the driver that the host has.
func (h *Host) Devices(ids []string) ([]runtime.Device, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var all []runtime.Device
	add := func(name string) {
		all = append(all, runtime.Device{Source: filepath.Join(h.dir, name), Target: filepath.Join("/dev", name), Permissions: "rw"})
	}
	for _, id := range ids {
		if h == nil || h.files[id] == "" {
			return nil, fmt.Errorf("the GPU %s that the task was given is not on this host any more", id)
		}
		add(h.files[id])
	}
	for _, name := range controls {
		if info, err := os.Stat(filepath.Join(h.dir, name)); err == nil && info.Mode()&fs.ModeCharDevice != 0 {
			add(name)
		}
	}
	return all, nil
}
