// Package local is the door between a running Berth and the commands on the
// same host: HTTP on a unix socket in the data directory, which only its owner
// can open. It has what AWS's APIs have no word for: health, images that don't
// come from a registry, Spot capacity that is taken back, and the end of the
// instance.
//
// It owns the wire form, both ends. It knows no part of Berth: the server is
// given functions.
package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Status is what `berth status` shows.
type Status struct {
	Instance string
	PID      int
	Started  time.Time
	Endpoint string
	Region   string
	Account  string
	// Verified is false when requests of any credentials are accepted.
	Verified   bool
	PublicPool string
	Nodes      []NodeStatus
	Tasks      []TaskStatus
	Pulls      []PullStatus
	Loops      []LoopStatus
	// Notes say what a person should know: what the host lacks, what failed.
	Notes []string
}

// NodeStatus is one node's capacity. CPU in CPU units, memory in MiB.
type NodeStatus struct {
	ID, Name, Status            string
	CPU, Memory                 int64 // with overcommit
	CPUReserved, MemoryReserved int64
	HostCPU, HostMemory         int64
	Tasks                       int
}

// TaskStatus is one task that has not stopped.
type TaskStatus struct {
	ID, Cluster, Definition, State, Address, Public, Zone string
	// Doing is what the node does for it or waits for: "pull web", or "".
	Doing   string
	Created time.Time
}

// PullStatus is an image that is being pulled: Done of Total bytes, which are 0
// while the image's size isn't known, and Unpacked of Layers layers.
type PullStatus struct {
	Image            string
	Began            time.Time
	Done, Total      int64
	Unpacked, Layers int
}

// LoopStatus is how one control loop does.
type LoopStatus struct {
	Name      string
	Keys      int
	Failing   int
	LastError string
}

// Image is one image of the node.
type Image struct {
	Ref     string
	Digest  string
	Size    int64
	Created time.Time
}

// Interruption says whose Spot capacity is taken back: one task's, by ARN, or a
// cluster's; and for how long nobody else gets any.
type Interruption struct {
	Task, Cluster string
	ClosedFor     time.Duration
}

// Server answers on the socket.
type Server struct {
	Status      func(ctx context.Context) (Status, error)
	ImportImage func(ctx context.Context, r io.Reader, ref string) ([]Image, error)
	ListImages  func(ctx context.Context) ([]Image, error)
	RemoveImage func(ctx context.Context, ref string) error
	// Interrupt takes Spot capacity back from tasks, and returns their ARNs.
	Interrupt func(ctx context.Context, in Interruption) ([]string, error)
	// Down stops all tasks, removes everything from the host and ends Berth.
	Down func(ctx context.Context) error
}

// Listen makes the socket, in the place of one that a process before left.
func Listen(dir string) (net.Listener, error) {
	path := filepath.Join(dir, "berth.sock")
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	near, done, err := address(path)
	if err != nil {
		return nil, fmt.Errorf("make the control socket: %w", err)
	}
	defer done()
	l, err := net.Listen("unix", near)
	if err != nil {
		return nil, fmt.Errorf("make the control socket: %w", err)
	}
	// By then the short name may lead elsewhere.
	l.(*net.UnixListener).SetUnlinkOnClose(near == path)
	return l, os.Chmod(path, 0o600)
}

// maxAddress is the longest path of a unix socket in bytes (unix(7)).
const maxAddress = 107

// address is how a socket's path is given to the kernel, until done is called: by
// way of its directory, opened, where the path is too long.
func address(path string) (near string, done func(), err error) {
	if len(path) <= maxAddress {
		return path, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)), func() { dir.Close() }, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	var answer any
	var err error
	switch r.Method + " " + r.URL.Path {
	case "GET /status":
		answer, err = s.Status(ctx)
	case "GET /images":
		answer, err = s.ListImages(ctx)
	case "POST /images":
		answer, err = s.ImportImage(ctx, r.Body, r.URL.Query().Get("ref"))
	case "DELETE /images":
		err = s.RemoveImage(ctx, r.URL.Query().Get("ref"))
	case "POST /spot/interrupt":
		var in Interruption
		if err = json.NewDecoder(r.Body).Decode(&in); err == nil {
			answer, err = s.Interrupt(ctx, in)
		}
	case "POST /down":
		err = s.Down(ctx)
	default:
		http.Error(w, "this berth knows no "+r.Method+" "+r.URL.Path, http.StatusNotFound)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	json.NewEncoder(w).Encode(answer)
}

// ErrNotRunning is what a Client returns when no Berth answers.
var ErrNotRunning = errors.New("berth isn't running on this data directory")

// Client asks a running Berth.
type Client struct {
	http *http.Client
}

// Dial returns a client of the Berth that runs on dir. Nothing is asked yet.
func Dial(dir string) *Client {
	return &Client{http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			near, done, err := address(filepath.Join(dir, "berth.sock"))
			if err != nil {
				return nil, &net.OpError{Op: "dial", Net: "unix", Err: err}
			}
			defer done()
			var d net.Dialer
			return d.DialContext(ctx, "unix", near)
		},
	}}}
}

// Status asks for the status.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	return s, c.do(ctx, "GET", "/status", nil, &s)
}

// ListImages asks for the node's images.
func (c *Client) ListImages(ctx context.Context) ([]Image, error) {
	var images []Image
	return images, c.do(ctx, "GET", "/images", nil, &images)
}

// ImportImage sends an image archive. ref names an image that the archive
// leaves unnamed.
func (c *Client) ImportImage(ctx context.Context, r io.Reader, ref string) ([]Image, error) {
	var images []Image
	return images, c.do(ctx, "POST", "/images?ref="+url.QueryEscape(ref), r, &images)
}

// RemoveImage removes an image's name.
func (c *Client) RemoveImage(ctx context.Context, ref string) error {
	return c.do(ctx, "DELETE", "/images?ref="+url.QueryEscape(ref), nil, nil)
}

// Interrupt takes Spot capacity back, and returns the ARNs of the tasks that lose
// it.
func (c *Client) Interrupt(ctx context.Context, in Interruption) ([]string, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	var arns []string
	return arns, c.do(ctx, "POST", "/spot/interrupt", bytes.NewReader(body), &arns)
}

// Down ends Berth and everything it runs.
func (c *Client) Down(ctx context.Context) error { return c.do(ctx, "POST", "/down", nil, nil) }

func (c *Client) do(ctx context.Context, method, path string, body io.Reader, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://berth"+path, body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	var dial *net.OpError
	if errors.As(err, &dial) && errors.Is(err, os.ErrPermission) {
		return errors.New("this user may not talk to berth (permission denied): run the command as root")
	}
	if errors.As(err, &dial) && dial.Op == "dial" {
		return fmt.Errorf("%w (%v): start it with 'berth up'", ErrNotRunning, dial.Err)
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(strings.TrimSpace(string(b)))
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(b, answer)
}
