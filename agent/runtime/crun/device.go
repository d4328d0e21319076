package crun

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth/berth/agent/runtime"
)

// addDevices gives a container the devices of the host that it asks for: all of
// them if it is privileged.
func addDevices(c *specs.Spec, spec runtime.Spec) error {
	devices := spec.Devices
	if spec.Privileged {
		all, err := hostDevices()
		if err != nil {
			return err
		}
		devices = append(all, devices...)
	}
	for _, d := range devices {
		var st unix.Stat_t
		if err := unix.Stat(d.Source, &st); err != nil {
			return fmt.Errorf("device %s: %w", d.Source, err)
		}
		kind := map[uint32]string{unix.S_IFCHR: "c", unix.S_IFBLK: "b"}[st.Mode&unix.S_IFMT]
		if kind == "" {
			return fmt.Errorf("device %s: is no device", d.Source)
		}
		major, minor := int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
		mode := os.FileMode(st.Mode & 0o777)
		c.Linux.Devices = append(c.Linux.Devices, specs.LinuxDevice{
			Path: d.Target, Type: kind, Major: major, Minor: minor, FileMode: &mode, UID: &st.Uid, GID: &st.Gid,
		})
		if !spec.Privileged {
			c.Linux.Resources.Devices = append(c.Linux.Resources.Devices, specs.LinuxDeviceCgroup{
				Allow: true, Type: kind, Major: &major, Minor: &minor, Access: d.Permissions,
			})
		}
	}
	return nil
}

// ownDevices are those in /dev that every container has for itself.
var ownDevices = []string{"null", "zero", "full", "tty", "random", "urandom", "console", "ptmx", "pts", "shm", "mqueue"}

// hostDevices are all in the host's /dev but ownDevices.
func hostDevices() ([]runtime.Device, error) {
	var all []runtime.Device
	err := filepath.WalkDir("/dev", func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return nil // it went away, or may not be read
		}
		for _, own := range ownDevices {
			if path == "/dev/"+own || strings.HasPrefix(path, "/dev/"+own+"/") {
				return nil
			}
		}
		if e.Type()&(os.ModeDevice|os.ModeCharDevice) != 0 {
			all = append(all, runtime.Device{Source: path, Target: path, Permissions: "rwm"})
		}
		return nil
	})
	return all, err
}
