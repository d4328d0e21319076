package metadata

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/berth/berth/internal/wholefile"
)

// hostDoor is for tasks in the host's network, who have no address of their own.
type hostDoor struct {
	kept     doorFile
	listener net.Listener
	once     sync.Once
}

// doorFile outlives the process, as the URLs in containers' environments do.
type doorFile struct {
	Port int
	Key  []byte // of the codes in IDs
}

func openHostDoor(dir string, log *slog.Logger) (*hostDoor, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the metadata endpoint: %w", err)
	}
	path := filepath.Join(dir, "metadata.json")
	d := &hostDoor{}
	found, err := wholefile.ReadJSON(path, &d.kept)
	if err != nil {
		log.Error("tasks in the host's network that run can't ask for metadata any more: the record of their endpoint is damaged", "file", path, "err", err)
		d.kept, found = doorFile{}, false
	}
	if !found || len(d.kept.Key) != sha256.Size {
		d.kept = doorFile{Key: make([]byte, sha256.Size)}
		rand.Read(d.kept.Key)
	}
	d.listener, err = net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", d.kept.Port))
	if err != nil && d.kept.Port != 0 {
		log.Error("tasks in the host's network that run can't ask for metadata any more: another process has taken the port of their endpoint", "port", d.kept.Port, "err", err)
		d.listener, err = net.Listen("tcp4", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("listen for tasks in the host's network: %w", err)
	}
	port := d.listener.Addr().(*net.TCPAddr).Port
	if found && port == d.kept.Port {
		return d, nil
	}
	d.kept.Port = port
	if err := wholefile.WriteJSON(path, d.kept); err != nil {
		return nil, errors.Join(fmt.Errorf("record the port of the metadata endpoint: %w", err), d.listener.Close())
	}
	return d, nil
}

func (d *hostDoor) url() string { return fmt.Sprintf("http://127.0.0.1:%d", d.kept.Port) }

// id is a container's, with the code.
func (d *hostDoor) id(container string) string { return container + "." + d.code(container) }

func (d *hostDoor) code(container string) string {
	m := hmac.New(sha256.New, d.kept.Key)
	m.Write([]byte(container))
	return hex.EncodeToString(m.Sum(nil)[:16])
}

// container is the container of an ID, if its code is right.
func (d *hostDoor) container(id string) (string, bool) {
	container, code, _ := strings.Cut(id, ".")
	return container, hmac.Equal([]byte(code), []byte(d.code(container)))
}

func (d *hostDoor) close() (err error) {
	d.once.Do(func() { err = d.listener.Close() })
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return err
}
