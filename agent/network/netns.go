package network

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// netnsDir is where iproute2 keeps named network namespaces, so that
// `ip netns list` and `ip netns exec` know ours.
const netnsDir = "/run/netns"

// namespace is a network namespace held open, with a route netlink socket in it.
type namespace struct {
	name string // file in netnsDir; empty for the host's
	file *os.File
	link *netlink.Handle
}

// path is where others find the namespace.
func (ns *namespace) path() string { return filepath.Join(netnsDir, ns.name) }

func (ns *namespace) fd() int { return int(ns.file.Fd()) }

// close lets go of the namespace; it stays as long as its name does.
func (ns *namespace) close() {
	if ns.link != nil {
		ns.link.Close()
	}
	ns.file.Close()
}

// openNamespace opens what path names and a netlink socket in it.
func openNamespace(name, path string) (*namespace, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, explain("open network namespace "+path, err)
	}
	ns := &namespace{name: name, file: f}
	if err := ns.do(func() error { return ns.dial() }); err != nil {
		f.Close()
		return nil, explain("enter network namespace "+path, err)
	}
	return ns, nil
}

// dial opens the netlink sockets in the calling thread's namespace.
func (ns *namespace) dial() (err error) {
	ns.link, err = netlink.NewHandle(unix.NETLINK_ROUTE, unix.NETLINK_NETFILTER)
	return err
}

// createNamespace makes a namespace, names it, and runs setup inside it. When
// it fails nothing is left.
func createNamespace(name string, setup func(*namespace) error) (*namespace, error) {
	ns := &namespace{name: name}
	unlock, err := createName(ns.path())
	if err != nil {
		return nil, explain("name network namespace", err)
	}
	defer unlock()
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return explain("make network namespace "+name, err)
		}
		if err := unix.Mount("/proc/thread-self/ns/net", ns.path(), "", unix.MS_BIND, ""); err != nil {
			return explain("mount network namespace on "+ns.path(), err)
		}
		if ns.file, err = os.Open(ns.path()); err != nil {
			return explain("open network namespace "+name, err)
		}
		if err := ns.dial(); err != nil {
			return explain("open netlink socket in network namespace "+name, err)
		}
		return setup(ns)
	})
	if err != nil {
		if ns.file != nil {
			ns.close()
		}
		return nil, errors.Join(err, removeNamespace(name))
	}
	return ns, nil
}

// createName makes the file that a namespace is to be mounted on. Until it is,
// the returned lock keeps the directory where it is.
func createName(path string) (unlock func(), err error) {
	for {
		unlock, err := lockHost(unix.LOCK_SH)
		if err != nil {
			return nil, err
		}
		f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE|os.O_EXCL, 0o444)
		if err == nil {
			f.Close()
			return unlock, nil
		}
		unlock()
		if !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		// The last instance to leave the host took the directory with it.
		if err := prepareNetnsDir(); err != nil {
			return nil, err
		}
	}
}

// removeNamespace takes the name away; the kernel frees the namespace and what
// is in it, in its own time, once no process and no descriptor holds it.
func removeNamespace(name string) error {
	path := filepath.Join(netnsDir, name)
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return explain("unmount network namespace "+path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return explain("remove network namespace", err)
	}
	return nil
}

// do runs f on a thread that is in the namespace.
func (ns *namespace) do(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(ns.fd(), unix.CLONE_NEWNET); err != nil {
			return explain("enter network namespace "+ns.name, err)
		}
		return f()
	})
}

// onThread runs f on a thread of its own, which f may move to other network
// namespaces. The thread is used again only if it can be moved back; otherwise
// it dies with its goroutine, so that nobody runs in a wrong namespace unaware.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			done <- explain("open the thread's network namespace", err)
			return
		}
		defer home.Close()
		err = f()
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// prepareNetnsDir makes /run/netns as iproute2 does: a shared mount, so that
// names made and removed later show in mount namespaces made before.
func prepareNetnsDir() error {
	unlock, err := lockHost(unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		return explain("make the directory of network namespaces", err)
	}
	err = unix.Mount("", netnsDir, "", unix.MS_SHARED|unix.MS_REC, "")
	if errors.Is(err, unix.EINVAL) { // not a mount yet
		if err := unix.Mount(netnsDir, netnsDir, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return explain("mount "+netnsDir+" on itself", err)
		}
		err = unix.Mount("", netnsDir, "", unix.MS_SHARED|unix.MS_REC, "")
	}
	return explain("share the mount "+netnsDir, err)
}

// tidyNetnsDir removes the directory of names when it is empty.
func tidyNetnsDir() error {
	unlock, err := lockHost(unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	if names, err := namesIn(netnsDir); err != nil || len(names) > 0 {
		return err
	}
	// Not by force: a name that somebody else makes right now stays.
	err = unix.Unmount(netnsDir, 0)
	if err == nil || errors.Is(err, unix.EINVAL) {
		err = os.Remove(netnsDir)
	}
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return explain("remove "+netnsDir, err)
}

// namesIn lists a directory; one that isn't there is empty.
func namesIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, explain("list network namespaces", err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

// lockHost keeps other instances on this host from the steps where two could
// take the same thing. The returned function ends it.
func lockHost(how int) (unlock func(), err error) {
	d, err := os.Open(filepath.Dir(netnsDir))
	if err != nil {
		return nil, explain("open the directory to lock", err)
	}
	for {
		err = unix.Flock(int(d.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		d.Close()
		return nil, explain("lock "+d.Name(), err)
	}
	return func() { d.Close() }, nil
}
