package volumes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/containerd/containerd/v2/core/mount"
	"golang.org/x/sys/unix"
)

// EFS is a directory of an EFS file system.
type EFS struct {
	FileSystem string // fs-…
	Root       string // directory in it; empty is all
}

var efsIDs = regexp.MustCompile(`^fs-[0-9a-f]{4,40}$`)

// ParseEFS reads an operator's mapping: "fs-0123abcd=server:/path" for NFS, or
// "fs-0123abcd=/directory".
func ParseEFS(text string) (id, target string, err error) {
	id, target, ok := strings.Cut(text, "=")
	switch {
	case !ok || !efsIDs.MatchString(id):
		return "", "", fmt.Errorf("%q: give ID=SERVER:/PATH or ID=/DIRECTORY, with an ID like fs-0123abcd", text)
	case filepath.IsAbs(target):
		info, err := os.Stat(target)
		if err == nil && !info.IsDir() {
			err = errors.New("it is no directory")
		}
		return id, target, err
	}
	host, path, ok := strings.Cut(target, ":")
	if !ok || host == "" || !filepath.IsAbs(path) || strings.ContainsAny(host, "/,") {
		return "", "", fmt.Errorf("%q: %q is neither SERVER:/PATH nor a directory", text, target)
	}
	return id, target, nil
}

// efsFailed is the error of an EFS volume in AWS's words (Amazon ECS Developer
// Guide, "Amazon ECS stopped tasks error messages").
func efsFailed(format string, args ...any) error {
	return fmt.Errorf("failed to invoke EFS utils commands to set up EFS volumes: %w", fmt.Errorf(format, args...))
}

// nfsOptions are those that EFS's own mount helper uses (Amazon EFS User Guide,
// "Recommended NFS mount settings").
const nfsOptions = "vers=4.1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,noresvport"

// provideEFS mounts a directory of a file system.
func (v *Volumes) provideEFS(ctx context.Context, own string, e EFS) (string, error) {
	target, known := v.efs[e.FileSystem]
	if !known {
		return "", efsFailed("file system %s is mapped to nothing on this host: start Berth with --efs %s=SERVER:/PATH or --efs %s=/DIRECTORY", e.FileSystem, e.FileSystem, e.FileSystem)
	}
	data, root := filepath.Join(own, dataDir), target
	if err := os.MkdirAll(data, 0o711); err != nil {
		return "", err
	}
	if mounted, err := isMounted(data); err != nil || mounted {
		return data, err
	}
	if !filepath.IsAbs(target) {
		root = filepath.Join(own, rootDir)
		if err := mountNFS(ctx, target, root); err != nil {
			return "", efsFailed("mount %s (%s): %w", e.FileSystem, target, err)
		}
	}
	if err := bindInside(root, e.Root, data); err != nil {
		return "", efsFailed("mounting %s:%s failed: %w", e.FileSystem, filepath.Join("/", e.Root), err)
	}
	return data, nil
}

func mountNFS(ctx context.Context, source, dir string) error {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return err
	}
	if mounted, err := isMounted(dir); err != nil || mounted {
		return err
	}
	host, _, _ := strings.Cut(source, ":")
	addr, err := resolve(ctx, host)
	if err != nil {
		return err
	}
	m := mount.Mount{Type: "nfs4", Source: source, Options: append(strings.Split(nfsOptions, ","), "addr="+addr)}
	err = m.Mount(dir)
	if errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("%w: the host's kernel has no NFS: load its module nfsv4", err)
	}
	return err
}
