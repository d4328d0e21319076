package crun

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth/berth/internal/wholefile"
)

// bpfAnnotation gives crun a compiled filter, which it takes instead of the
// configuration's. An OCI runtime that doesn't know it compiles the latter.
const bpfAnnotation = "run.oci.seccomp_bpf_data"

// bpfFile is where crun keeps a container's compiled filter in its state.
const bpfFile = "seccomp.bpf"

// filters gives containers the default seccomp profile. As compiling it is a
// quarter of a start, the OCI runtime's result is kept for the next containers
// with the same capabilities, on which the profile depends.
type filters struct {
	dir  string
	salt string // what else a compiled filter depends on

	mu       sync.Mutex
	compiled map[string]string // by capabilities: in base64
}

func newFilters(dir, oci string) (*filters, error) {
	var host unix.Utsname
	if err := unix.Uname(&host); err != nil {
		return nil, fmt.Errorf("read the kernel's version: %w", err)
	}
	program, err := os.Stat(oci)
	if err != nil {
		return nil, err
	}
	return &filters{
		dir: dir, compiled: map[string]string{},
		salt: fmt.Sprint(unix.ByteSliceToString(host.Release[:]), oci, program.Size(), program.ModTime().UnixNano()),
	}, nil
}

// set puts the profile into a configuration.
func (f *filters) set(c *specs.Spec) {
	c.Linux.Seccomp = seccomp.DefaultProfile(c)
	f.mu.Lock()
	bpf := f.compiled[capabilityKey(c)]
	f.mu.Unlock()
	if bpf == "" {
		data, err := os.ReadFile(f.path(c))
		if err != nil {
			return // not compiled yet
		}
		bpf = f.remember(c, data)
	}
	c.Annotations = map[string]string{bpfAnnotation: bpf}
}

// keep keeps the filter that the OCI runtime compiled for a container, if it did
// and leaves it in its state.
func (f *filters) keep(c *specs.Spec, state string) error {
	if c.Annotations[bpfAnnotation] != "" {
		return nil
	}
	data, err := os.ReadFile(filepath.Join(state, bpfFile))
	if err != nil || len(data) == 0 {
		return ignoreGone(err)
	}
	if err := wholefile.Write(f.path(c), data, 0o600); err != nil {
		return err
	}
	f.remember(c, data)
	return nil
}

func (f *filters) remember(c *specs.Spec, data []byte) (bpf string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	bpf = base64.StdEncoding.EncodeToString(data)
	f.compiled[capabilityKey(c)] = bpf
	return bpf
}

func (f *filters) path(c *specs.Spec) string {
	profile, err := json.Marshal(c.Linux.Seccomp)
	if err != nil {
		panic(err) // it is a struct of strings and numbers
	}
	return filepath.Join(f.dir, fmt.Sprintf("%x", sha256.Sum256(append(profile, f.salt...))))
}

func capabilityKey(c *specs.Spec) string { return strings.Join(c.Process.Capabilities.Bounding, ",") }
