package volumes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/mount"

	"github.com/berth/berth/internal/wholefile"
)

// Docker is a Docker volume of the driver local, the only one there is.
type Docker struct {
	// Shared volumes are the node's, by their name; others the task's own.
	Shared bool
	// Create makes a shared volume that isn't there.
	Create  bool
	Driver  string // local; empty is local
	Options map[string]string
	Labels  map[string]string
}

// localOptions are the options of the driver local: what mount(8) takes.
const optType, optDevice, optOptions = "type", "device", "o"

// CheckDocker says why the driver can't make a volume.
func CheckDocker(d Docker) error {
	if d.Driver != "" && d.Driver != "local" {
		return fmt.Errorf("the volume driver %q is not there: only local is", d.Driver)
	}
	for _, o := range slices.Sorted(maps.Keys(d.Options)) {
		if o != optType && o != optDevice && o != optOptions {
			return fmt.Errorf("the volume driver local has no option %q: it takes type, device and o", o)
		}
	}
	if len(d.Options) > 0 && d.Options[optDevice] == "" {
		return errors.New("the volume driver local needs the option device with type or o")
	}
	return nil
}

// mounted reports whether the volume is something mounted, not a directory.
func (d Docker) mounted() bool { return len(d.Options) > 0 }

// provideDocker makes a Docker volume.
func (v *Volumes) provideDocker(ctx context.Context, own, name string, d Docker) (string, error) {
	if err := CheckDocker(d); err != nil {
		return "", err
	}
	if !d.Shared {
		return d.make(ctx, own)
	}
	unlock, err := v.locks.Lock(ctx, "shared "+name)
	if err != nil {
		return "", err
	}
	defer unlock()
	dir := filepath.Join(v.dir, sharedDir, name)
	var have Docker
	found, err := wholefile.ReadJSON(filepath.Join(dir, recordFile), &have)
	switch {
	case err != nil:
		return "", fmt.Errorf("read the record of the shared volume %s: %w", name, err)
	case found && !maps.Equal(have.Options, d.Options):
		return "", fmt.Errorf("the shared volume %s is there already, with other driver options: it has %v, and the task definition says %v", name, have.Options, d.Options)
	case !found && !d.Create:
		return "", fmt.Errorf("the shared volume %s is not on this container instance, and its autoprovision is false", name)
	case !found:
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return "", err
		}
		if err := wholefile.WriteJSON(filepath.Join(dir, recordFile), d); err != nil {
			return "", err
		}
	}
	return d.make(ctx, dir)
}

// make makes the volume's directory, and mounts what is to be mounted there.
func (d Docker) make(ctx context.Context, dir string) (string, error) {
	data := filepath.Join(dir, dataDir)
	if err := makeDir(data); err != nil || !d.mounted() {
		return data, err
	}
	if mounted, err := isMounted(data); err != nil || mounted {
		return data, err
	}
	m := mount.Mount{Type: d.Options[optType], Source: d.Options[optDevice]}
	for o := range strings.SplitSeq(d.Options[optOptions], ",") {
		host, isAddr := strings.CutPrefix(o, "addr=")
		if isAddr {
			addr, err := resolve(ctx, host)
			if err != nil {
				return "", err
			}
			o = "addr=" + addr
		}
		if o != "" {
			m.Options = append(m.Options, o)
		}
	}
	if err := m.Mount(data); err != nil {
		return "", fmt.Errorf("mount the volume's device %s of type %q with the options %q: %w", m.Source, m.Type, d.Options[optOptions], err)
	}
	return data, nil
}

// resolve finds the address of an NFS server: the kernel takes no name.
func resolve(ctx context.Context, host string) (string, error) {
	if net.ParseIP(host) != nil {
		return host, nil
	}
	addrs, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return "", fmt.Errorf("find the NFS server %s: %w", host, err)
	}
	return addrs[0], nil
}
