package lazy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// ErrNone says that there is no process that has mounts.
var ErrNone = errors.New("no process serves lazy layers")

// Client speaks to the process of a directory.
type Client struct{ http *http.Client }

// NewClient returns one. Nobody is spoken to yet.
func NewClient(dir string) *Client {
	var d net.Dialer
	return &Client{&http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		path, release, err := socketIn(dir)
		if err != nil {
			return nil, err
		}
		defer release()
		return d.DialContext(ctx, "unix", path)
	}}}}
}

// Mount mounts a layer, if it isn't.
func (c *Client) Mount(ctx context.Context, m Mount) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = c.do(ctx, http.MethodPut, "/mounts/"+m.Digest.String(), b)
	return err
}

// Unmount unmounts a layer, if it is mounted.
func (c *Client) Unmount(ctx context.Context, layer digest.Digest) error {
	_, err := c.do(ctx, http.MethodDelete, "/mounts/"+layer.String(), nil)
	return err
}

// Mounts lists the layers that are mounted.
func (c *Client) Mounts(ctx context.Context) ([]digest.Digest, error) {
	b, err := c.do(ctx, http.MethodGet, "/mounts", nil)
	if err != nil {
		return nil, err
	}
	var all []digest.Digest
	return all, json.Unmarshal(b, &all)
}

// Alive returns when the process has ended, or with ctx's error.
func (c *Client) Alive(ctx context.Context) error {
	_, err := c.do(ctx, http.MethodGet, "/alive", nil)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// endTime is how long a process may take to be gone that was told to end.
const endTime = 10 * time.Second

// End unmounts all and ends the process. It is gone when End returns.
func (c *Client) End(ctx context.Context) error {
	said, err := c.do(ctx, http.MethodGet, "/pid", nil)
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(string(said))
	if err != nil {
		return err
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("watch process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if _, err := c.do(ctx, http.MethodPost, "/end", nil); err != nil {
		return err
	}
	if pid == os.Getpid() {
		return nil // as in tests
	}
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(endTime.Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("wait for the end of process %d: %w", pid, err)
		case n == 0:
			return fmt.Errorf("process %d was told to end, and has not within %s", pid, endTime)
		default:
			return nil
		}
	}
}

func (c *Client) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://lazy"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s", strings.TrimSpace(string(b)))
	}
	return b, err
}
