package agent

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/berth/berth/agent/metadata"
	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/internal/wholefile"
)

// metadataDir is where a container finds its metadata file.
const metadataDir = "/opt/ecs/metadata"

// metadataFile gives a container of a container instance its metadata file, if
// the node is to have such: in a directory, so that a later file can take its
// place.
func (t *task) metadataFile(i int, s *runtime.Spec) error {
	if !t.a.cfg.MetadataFiles || t.as.Task.ContainerInstance == "" {
		return nil
	}
	c := t.plan.containers[i]
	target := filepath.Join(metadataDir, c.id)
	if err := t.writeMetadataFile(i); err != nil {
		return fmt.Errorf("write its metadata file: %w", err)
	}
	s.Mounts = append(s.Mounts, runtime.Mount{Source: t.dir.metadata(c.name), Target: target, ReadOnly: true})
	s.Env = append(s.Env, "ECS_CONTAINER_METADATA_FILE="+filepath.Join(target, metadata.FileName))
	return nil
}

// writeMetadataFile writes what is known now, for every user to read.
func (t *task) writeMetadataFile(i int) error {
	dir := t.dir.metadata(t.plan.containers[i].name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	v := t.view()
	text, err := v.File(&v.Containers[i], hostAddress())
	if err != nil {
		return err
	}
	path := filepath.Join(dir, metadata.FileName)
	if err := wholefile.Write(path, text, 0o644); err != nil {
		return err
	}
	return os.Chmod(path, 0o644)
}

// metadataReady writes the file of a container that has started.
func (t *task) metadataReady(i int) {
	if !t.a.cfg.MetadataFiles || t.as.Task.ContainerInstance == "" {
		return
	}
	if err := t.writeMetadataFile(i); err != nil {
		t.a.log.Error("write a container's metadata file", "task", t.id, "container", t.plan.containers[i].name, "err", err)
	}
}

func (f folder) metadata(container string) string {
	return filepath.Join(string(f), "metadata", container)
}

// hostAddress is the address that the host sends from by its default route.
// Nothing is sent to find it; without such a route there is none.
func hostAddress() netip.Addr {
	const documentation = "192.0.2.1:9" // an address that nobody has (RFC 5737)
	conn, err := net.Dial("udp4", documentation)
	if err != nil {
		return netip.Addr{}
	}
	defer conn.Close()
	local, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return local.Addr()
}
