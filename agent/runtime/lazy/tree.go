package lazy

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// node is a file of a layer. With no entry it is a whiteout: an overlay takes a
// character device 0:0 for a name that is deleted.
type node struct {
	fs.Inode
	l     *Layer
	entry *estargz.TOCEntry
	log   *slog.Logger
}

var (
	_ fs.NodeLookuper    = (*node)(nil)
	_ fs.NodeReaddirer   = (*node)(nil)
	_ fs.NodeGetattrer   = (*node)(nil)
	_ fs.NodeReadlinker  = (*node)(nil)
	_ fs.NodeOpener      = (*node)(nil)
	_ fs.NodeReader      = (*node)(nil)
	_ fs.NodeGetxattrer  = (*node)(nil)
	_ fs.NodeListxattrer = (*node)(nil)
)

// mount shows a layer at a directory, until it is unmounted.
func mount(l *Layer, dir, name string, log *slog.Logger) (*fuse.Server, error) {
	forever := 24 * time.Hour // nothing of a layer ever changes
	return fs.Mount(dir, &node{l: l, entry: l.root, log: log}, &fs.Options{
		EntryTimeout: &forever, AttrTimeout: &forever, NegativeTimeout: &forever,
		NullPermissions: true, RootStableAttr: &fs.StableAttr{Mode: syscall.S_IFDIR, Ino: l.inodes[l.root]},
		MountOptions: fuse.MountOptions{
			AllowOther: true, DirectMountStrict: true, FsName: name, Name: "berth", MaxReadAhead: 1 << 20, MaxBackground: 64,
			Options: []string{"default_permissions"}, DirectMountFlags: unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV,
		},
	})
}

// kind is the type of a file, as in its mode.
func kind(e *estargz.TOCEntry) uint32 {
	if e == nil {
		return syscall.S_IFCHR
	}
	switch e.Type {
	case "dir":
		return syscall.S_IFDIR
	case "symlink":
		return syscall.S_IFLNK
	case "char":
		return syscall.S_IFCHR
	case "block":
		return syscall.S_IFBLK
	case "fifo":
		return syscall.S_IFIFO
	}
	return syscall.S_IFREG
}

// child finds a name in a directory: a file, a whiteout (nil), or nothing.
func (n *node) child(name string) (e *estargz.TOCEntry, ok bool) {
	if strings.HasPrefix(name, whiteoutPrefix) || n.entry == n.l.root && hidden(name) {
		return nil, false
	}
	if e, ok := n.entry.LookupChild(name); ok {
		return e, true
	}
	_, ok = n.entry.LookupChild(whiteoutPrefix + name)
	return nil, ok
}

func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	e, ok := n.child(name)
	if !ok {
		return nil, syscall.ENOENT
	}
	c := &node{l: n.l, entry: e, log: n.log}
	c.fill(&out.Attr)
	return n.NewInode(ctx, c, fs.StableAttr{Mode: kind(e), Ino: n.l.inodes[e]}), 0
}

func (n *node) Readdir(context.Context) (fs.DirStream, syscall.Errno) {
	var list []fuse.DirEntry
	n.entry.ForeachChild(func(name string, _ *estargz.TOCEntry) bool {
		if deleted, ok := whiteout(name); ok {
			name = deleted
			if _, ok := n.entry.LookupChild(deleted); ok {
				return true // it is deleted below and there anew
			}
		}
		if e, ok := n.child(name); ok {
			list = append(list, fuse.DirEntry{Name: name, Mode: kind(e), Ino: n.l.inodes[e]})
		}
		return true
	})
	return fs.NewListDirStream(list), 0
}

func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.fill(&out.Attr)
	return 0
}

func (n *node) fill(a *fuse.Attr) {
	a.Mode, a.Nlink, a.Blksize = kind(n.entry), 1, 4096
	if n.entry == nil {
		return
	}
	e := n.entry
	a.Ino = n.l.inodes[e]
	a.Mode |= uint32(e.Mode) & 0o7777
	a.Uid, a.Gid = uint32(e.UID), uint32(e.GID)
	a.Size = uint64(e.Size)
	if e.Type == "symlink" {
		a.Size = uint64(len(e.LinkName))
	}
	a.Blocks = (a.Size + 511) / 512
	a.Nlink = uint32(max(e.NumLink, 1))
	a.Rdev = uint32(unix.Mkdev(uint32(e.DevMajor), uint32(e.DevMinor)))
	at := e.ModTime()
	a.SetTimes(&at, &at, &at)
}

func (n *node) Readlink(context.Context) ([]byte, syscall.Errno) {
	return []byte(n.entry.LinkName), 0
}

func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if flags&(syscall.O_WRONLY|syscall.O_RDWR) != 0 {
		return nil, 0, syscall.EROFS
	}
	return nil, fuse.FOPEN_KEEP_CACHE, 0
}

func (n *node) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	got, err := n.l.readAt(n.entry, dest, off)
	if err != nil {
		n.log.Error("a file of a layer that is pulled lazily can't be read: who reads it gets an I/O error", "layer", n.l.id, "file", n.entry.Name, "err", err)
		return nil, syscall.EIO
	}
	return fuse.ReadResultData(dest[:got]), 0
}

// xattrs are a file's extended attributes. Marks of overlays that an image brings
// are left out: only the layer's own whiteouts make some.
func (n *node) xattrs() map[string][]byte {
	if n.entry == nil {
		return nil
	}
	out := map[string][]byte{}
	for name, value := range n.entry.Xattrs {
		if !strings.HasPrefix(name, "trusted.overlay.") && !strings.HasPrefix(name, "user.overlay.") {
			out[name] = value
		}
	}
	if _, opaque := n.entry.LookupChild(opaqueMark); opaque {
		out["trusted.overlay.opaque"] = []byte("y")
	}
	return out
}

func (n *node) Getxattr(_ context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	value, ok := n.xattrs()[name]
	if !ok {
		return 0, syscall.ENODATA
	}
	return give(value, dest)
}

func (n *node) Listxattr(_ context.Context, dest []byte) (uint32, syscall.Errno) {
	var names []string
	for name := range n.xattrs() {
		names = append(names, name+"\x00")
	}
	slices.Sort(names)
	return give([]byte(strings.Join(names, "")), dest)
}

// give copies an answer into what the kernel has room for, as xattr(7) has it.
func give(value, dest []byte) (uint32, syscall.Errno) {
	if len(dest) < len(value) {
		return uint32(len(value)), syscall.ERANGE
	}
	return uint32(copy(dest, value)), 0
}
