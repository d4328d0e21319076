// Package instance owns a Berth installation's data directory: its identity,
// its root access keys, the lock that keeps a second process out, and where
// each part keeps its files. It knows none of the parts.
//
//	<dir>/instance.json   identity; made once
//	<dir>/keys.json       root access keys, mode 0600; made once
//	<dir>/endpoint.json   address and region of the last start
//	<dir>/berth.sock      the local control socket, while Berth runs
//	<dir>/berth.log       output of a detached Berth
//	<dir>/lock            held by the running process
//	<dir>/{store,logs,node,runtime,network}   the parts' own
package instance

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth/berth/internal/id"
	"github.com/berth/berth/internal/wholefile"
)

// Identity is what tells one installation from another on the same host.
type Identity struct {
	// ID is 8 hexadecimal digits. Everything made on the host carries it.
	ID string
	// Node is the ID of this host as a node, 32 hexadecimal digits.
	Node string
}

// Keys are an account's root access keys.
type Keys struct {
	AccessKeyID     string
	SecretAccessKey string
	Account         string
}

// Endpoint is where the last start listened.
type Endpoint struct {
	URL    string
	Region string
}

// Instance is an opened data directory.
type Instance struct {
	Identity
	Keys Keys
	Dir  string
	lock *os.File
}

// ErrRunning is returned by Open when another process holds the directory.
var ErrRunning = errors.New("another berth is running on this data directory")

// Open takes the directory for this process, and makes what it lacks: the
// identity, and keys for account.
func Open(dir, account string) (*Instance, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	if real, err := filepath.EvalSymlinks(dir); err != nil {
		return nil, fmt.Errorf("find the data directory: %w", err)
	} else if strings.Contains(dir+real, ":") {
		return nil, fmt.Errorf("the data directory %s has a colon in its path, at which conmon would cut off where containers' output goes: give --data-dir another one", real)
	}
	i := &Instance{Dir: dir}
	if i.lock, err = lock(i.Path("lock")); err != nil {
		return nil, err
	}
	err = once(i.Path("instance.json"), 0o644, &i.Identity, func() Identity { return Identity{ID: id.Hex(4), Node: id.Hex(16)} })
	if err == nil {
		err = once(i.Path("keys.json"), 0o600, &i.Keys, func() Keys { return newKeys(account) })
	}
	if err == nil {
		err = i.check()
	}
	if err == nil && i.Keys.Account != account {
		err = fmt.Errorf("the data directory %s belongs to account %s, not %s: give --account-id %s or another --data-dir", dir, i.Keys.Account, account, i.Keys.Account)
	}
	if err != nil {
		i.lock.Close()
		return nil, err
	}
	return i, nil
}

// check refuses files that something else has written to.
func (i *Instance) check() error {
	broken := func(name string) error {
		return fmt.Errorf("%s is damaged: put it back from a copy (it was made at the first start, and what is on the host carries what it says)", i.Path(name))
	}
	switch {
	case !isHex(i.ID, 8) || !isHex(i.Node, 32):
		return broken("instance.json")
	case i.Keys.AccessKeyID == "" || i.Keys.SecretAccessKey == "" || len(i.Keys.Account) != 12:
		return broken("keys.json")
	}
	return nil
}

func isHex(s string, n int) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == n
}

// Path joins parts to the directory.
func (i *Instance) Path(parts ...string) string {
	return filepath.Join(append([]string{i.Dir}, parts...)...)
}

// MakePrivate makes a directory of one part, which no other user of the host can
// enter: logs may say anything, and a container's files may be programs that run as
// root for whoever finds them.
func (i *Instance) MakePrivate(part string) error {
	if err := os.MkdirAll(i.Path(part), 0o700); err != nil {
		return fmt.Errorf("make a part of the data directory: %w", err)
	}
	// It may be there, from a version that was more open.
	if err := os.Chmod(i.Path(part), 0o700); err != nil {
		return fmt.Errorf("close a part of the data directory to others: %w", err)
	}
	return nil
}

// Close gives the directory up.
func (i *Instance) Close() error { return i.lock.Close() }

// SetEndpoint records where this start listens.
func (i *Instance) SetEndpoint(e Endpoint) error { return write(i.Path("endpoint.json"), 0o644, e) }

// ReadKeys returns the keys of a directory, running or not.
func ReadKeys(dir string) (Keys, error) {
	var k Keys
	return k, read(filepath.Join(dir, "keys.json"), &k)
}

// ReadIdentity reads the identity of an installation that may be running.
func ReadIdentity(dir string) (Identity, error) {
	var i Identity
	err := read(filepath.Join(dir, "instance.json"), &i)
	return i, err
}

// ReadEndpoint returns where the last start of a directory listened.
func ReadEndpoint(dir string) (Endpoint, error) {
	var e Endpoint
	return e, read(filepath.Join(dir, "endpoint.json"), &e)
}

// Exists reports whether dir has been a data directory.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "instance.json"))
	return err == nil
}

// PublicPool is the range that public addresses come from when none is given:
// a part of loopback of the instance's own, so that instances on one host
// seldom meet.
func (i Identity) PublicPool() string {
	n, err := strconv.ParseUint(i.ID, 16, 32)
	if err != nil {
		panic("an instance ID is hexadecimal: " + err.Error())
	}
	return fmt.Sprintf("127.%d.%d.0/20", 64+n%128, (n>>8)%16*16)
}

// newKeys makes keys of AWS's form: AKIA and 16 characters, and 40.
func newKeys(account string) Keys {
	b := make([]byte, 40)
	rand.Read(b)
	return Keys{
		AccessKeyID:     "AKIA" + base32.StdEncoding.EncodeToString(b[:10]),
		SecretAccessKey: base64.StdEncoding.EncodeToString(b[10:]),
		Account:         account,
	}
}

// lockPatience is how long lock waits for one that may just be let go of.
const lockPatience = time.Second

// lock takes the file's lock, which ends with the process however that ends. A
// process that is killed while it starts another one (a container's) leaves the
// lock to that one until it has become its program: so a lock that is held is
// waited for a little.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock file: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockPatience)
	defer cancel()
	err = flock(ctx, f)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, ErrRunning
	}
	if err == nil {
		// For AwaitEnd. The last process's number may be longer.
		_, err = f.WriteAt(fmt.Appendf(nil, "%-10d\n", os.Getpid()), 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// flock waits for the file's lock. It closes the file if ctx ends first.
func flock(ctx context.Context, f *os.File) error {
	done := make(chan error)
	go func() {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		for errors.Is(err, unix.EINTR) {
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		}
		select {
		case done <- err:
		case <-ctx.Done():
			f.Close()
		}
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// once reads the file into v, or makes it from first.
func once[T any](path string, mode fs.FileMode, v *T, first func() T) error {
	found, err := wholefile.ReadJSON(path, v)
	if found || err != nil {
		return err
	}
	*v = first()
	return write(path, mode, *v)
}

// read returns fs.ErrNotExist where there is no file.
func read(path string, v any) error {
	found, err := wholefile.ReadJSON(path, v)
	if err == nil && !found {
		return &fs.PathError{Op: "read", Path: path, Err: fs.ErrNotExist}
	}
	return err
}

// write replaces the file whole, durably.
func write(path string, mode fs.FileMode, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return wholefile.WriteSynced(path, append(b, '\n'), mode)
}

// AwaitEnd returns when no process holds the directory, and the one that does
// now has ended: it lets go of the lock shortly before.
func AwaitEnd(ctx context.Context, dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
		return f.Close() // nobody does
	}
	holder := -1
	pid := make([]byte, 10)
	if _, err := f.ReadAt(pid, 0); err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(pid))); err == nil {
			// It is a handle on the process even when its number is another's.
			holder, _ = unix.PidfdOpen(n, 0)
		}
	}
	if err := flock(ctx, f); err != nil {
		return err
	}
	if err := f.Close(); err != nil || holder < 0 {
		return err
	}
	defer unix.Close(holder)
	for ctx.Err() == nil {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(holder), Events: unix.POLLIN}}, 100)
		if n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return nil
		}
	}
	return ctx.Err()
}
