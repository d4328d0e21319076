package runtime

import (
	"context"
	"errors"
	"io"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// ErrNotFound is returned for an image, container or sandbox that is not there.
var ErrNotFound = errors.New("not found")

// Runtime runs containers from images. Every method may be called at any time,
// twice, or again after a crash in the middle of it. The suite in runtimetest
// says what each implementation must do.
type Runtime interface {
	Images
	Containers
}

// Images is the node's image store. References are given in any form
// ("busybox") and returned in full ("docker.io/library/busybox:latest").
type Images interface {
	// Pull makes the image present and unpacked. It doesn't ask a registry for
	// an image that is present, unless always is set. Errors of it are *PullError.
	Pull(ctx context.Context, ref string, always bool) (Image, error)
	// Image returns a present image, or ErrNotFound.
	Image(ctx context.Context, ref string) (Image, error)
	// Import reads an OCI layout tar or a docker-archive, gzipped or not, and
	// returns what it held. ref names an image that the archive leaves unnamed.
	Import(ctx context.Context, r io.Reader, ref string) ([]Image, error)
	// ListImages returns all present images, by reference.
	ListImages(ctx context.Context) ([]Image, error)
	// RemoveImage removes a name, or returns ErrNotFound. Containers made from the
	// image stay as they are.
	RemoveImage(ctx context.Context, ref string) error
}

// Image is a present image.
type Image struct {
	Ref       string
	Digest    string // of its manifest, sha256:…
	Size      int64  // bytes of its content
	CreatedAt time.Time
	Config    v1.ImageConfig
	// Imported: it came from an archive, and can't be pulled again.
	Imported bool
	// PulledIn is, of an image that Pull has just fetched, how long it took until
	// its last byte was there, and UnpackedIn how long from then until its last
	// layer was unpacked. Layers are unpacked while others come.
	PulledIn, UnpackedIn time.Duration
	// Coming, of an image that Pull has just fetched: its layers are still to come,
	// and containers can run meanwhile.
	Coming bool
}

// Pulling is an image that is being pulled, or unpacked from an archive.
type Pulling struct {
	Ref   string
	Began time.Time
	// Done of Total bytes are there. Total is of what is fetched, without what was
	// there before; 0 while that isn't known.
	Done, Total int64
	// Unpacked of Layers layers are. Those that were there before are none of them.
	Layers, Unpacked int
}

// PullError says why an image could not be had, in the words that ECS puts in
// stoppedReason ("CannotPullContainerError: …", "CannotPullImageManifestError:
// …") after its Code.
type PullError struct {
	Code string // CannotPullContainerError and its kin
	Err  error
}

func (e *PullError) Error() string { return e.Code + ": " + e.Err.Error() }

func (e *PullError) Unwrap() error { return e.Err }

// Containers runs processes. A sandbox is what a task's containers share: its
// cgroup. A container belongs to one sandbox.
type Containers interface {
	// CreateSandbox makes the task's cgroup with its hard limits.
	CreateSandbox(ctx context.Context, s Sandbox) error
	// RemoveSandbox removes the cgroup and all containers left in it. One that is
	// not there is no error.
	RemoveSandbox(ctx context.Context, id string) error
	// VolumeDir is a directory for what a sandbox's containers share. It is there
	// from CreateSandbox to RemoveSandbox.
	VolumeDir(sandbox string) string
	// Sandboxes lists the IDs of all there are.
	Sandboxes(ctx context.Context) ([]string, error)

	// Create prepares a container: root file system and configuration.
	Create(ctx context.Context, spec Spec) error
	// Start runs it. A container runs once: starting it again is no error and
	// does nothing, but after Reset.
	Start(ctx context.Context, id string) error
	// Reset lets a container that has exited be started again, with its files and
	// behind its output. One that hasn't exited stays as it is.
	Reset(ctx context.Context, id string) error
	// Status tells how it stands.
	Status(ctx context.Context, id string) (Status, error)
	// Wait returns when the container has exited, whoever started it, or is removed
	// (ErrNotFound).
	Wait(ctx context.Context, id string) (Status, error)
	// Signal sends a signal to the container's first process; "SIGTERM",
	// "TERM" and "15" are the same. A container that does not run is no error.
	Signal(ctx context.Context, id, signal string) error
	// Exec runs a command inside and returns when it ended or ctx did, in which
	// case the command is killed and the error is ctx's. What the command started
	// and left behind is killed too.
	Exec(ctx context.Context, id string, e Exec) (ExecResult, error)
	// ExecStreams is Exec with a person or a program at the other end. It returns
	// the exit code when the command has ended, and with it all that it started,
	// and all output was written. The end of ctx, and an output that can't be
	// written, hang the terminal up, and then kill.
	ExecStreams(ctx context.Context, id string, e Exec, s Streams) (exitCode int, err error)
	// Remove ends the container if need be and removes all that was made for it,
	// but not its output: see LogPath. One that is not there is no error.
	Remove(ctx context.Context, id string) error
	// ListContainers lists all of the instance, in any state.
	ListContainers(ctx context.Context) ([]Status, error)
	// LogPath is the file that the container's output is written to, in the
	// CRI's format: "<RFC3339Nano> stdout|stderr F|P <text>". It is there from
	// Start, and stays until the file is removed by who reads it.
	LogPath(id string) string
}

// Sandbox is a task's share of the host.
type Sandbox struct {
	ID string // task ID
	// CPU in CPU units (1024 a core) as a hard limit; 0 is none.
	CPU int32
	// Memory in MiB as a hard limit; 0 is none.
	Memory int32
	// Storage in bytes is a hard limit of what its containers write outside of
	// memory and of other mounts, and of what is in its VolumeDir; 0 is none. A
	// host that can't limit it says so.
	Storage int64 `json:",omitempty"`
}

// Storage is that of a sandbox, in bytes: how much it holds, 0 for no limit, and
// how much of that is in use.
type Storage struct {
	Size, Used int64
}

// Spec is a container to run.
type Spec struct {
	ID      string // unique on the host
	Sandbox string // task ID
	Image   string // reference of a present image
	// Args is the whole command; Env "K=V". The image's are not looked at.
	Args       []string
	Env        []string
	WorkingDir string
	// User is as in a Dockerfile: name, uid, user:group, uid:gid; looked up in
	// the image. Empty is root.
	User     string
	Hostname string
	// NetNS is the path of the network namespace to join; empty is one of its
	// own with nothing in it.
	NetNS          string
	ReadonlyRootfs bool
	Mounts         []Mount
	// Init runs a small init as the first process, that reaps and forwards
	// signals.
	Init            bool
	CapAdd, CapDrop []string // "SYS_PTRACE", "ALL"
	CPUShares       uint64   // 0: the least
	Memory          int64    // bytes, hard; 0: only the sandbox's
	MemoryReserved  int64    // bytes, soft
	Ulimits         []Ulimit
	AllowNewPrivs   bool
	Labels          map[string]string

	// Sysctls are kernel parameters of the container's own namespaces, by name
	// with dots.
	Sysctls map[string]string
	Tmpfs   []Tmpfs
	// ShmSize is the size of /dev/shm in bytes; 0 is 64 MiB.
	ShmSize int64
	// Swap is how much may be swapped besides Memory, in bytes, and Swappiness
	// how readily, from 0 to 100. nil: no swap, and the host's swappiness.
	Swap       *int64
	Swappiness *uint64
	Devices    []Device
	// Terminal gives the process a terminal of its own, whose output is all
	// stdout. Stdin keeps its standard input open, though nobody writes to it.
	Terminal, Stdin bool
	// Privileged lifts what keeps a container apart from its host: it has all
	// capabilities and devices, no seccomp filter, and may write to /sys.
	Privileged bool
	// NoSeccomp leaves out the seccomp filter alone.
	NoSeccomp bool
	// PIDNS and IPCNS are paths of namespaces to join, or HostNS, or NSOf and the
	// ID of a container that runs; empty is one of its own. With another
	// container's IPCNS comes its /dev/shm.
	PIDNS, IPCNS string
	// Runtime is the OCI runtime's name: "runsc" (gVisor), or another that the
	// implementation was given. Empty is its first.
	Runtime string
	// NoShm leaves out /dev/shm.
	NoShm bool
	// Pause makes it a container without an image and a command, which waits and
	// reaps, so that others may join its namespaces. Its output is removed with it.
	Pause bool
}

// NSOf begins the name of a container's namespace: NSOf + ID.
const NSOf = "container:"

// HostNS stands for the host's namespace.
const HostNS = "host"

// Tmpfs is a file system in memory. Size is in bytes; 0 is the kernel's
// default, half of the host's memory. Options are those of mount(8).
type Tmpfs struct {
	Target  string
	Size    int64
	Options []string
}

// Device is a device of the host's, at Target in the container. Permissions are
// some of r, w and m.
type Device struct {
	Source, Target, Permissions string
}

// Mount binds a directory or file of the host into the container.
type Mount struct {
	Source, Target string
	ReadOnly       bool
	// Fill gives Source, if it is an empty directory, what the image has at Target.
	// What is beside Source with its name and more is the runtime's, meanwhile.
	Fill bool `json:",omitempty"`
}

// Ulimit is one resource limit, by the name without RLIMIT_, lower case.
type Ulimit struct {
	Name       string
	Soft, Hard int64
}

// State is a container's state.
type State string

// The states, in order.
const (
	Created State = "created"
	Running State = "running"
	Exited  State = "exited"
)

// Status is how a container stands.
type Status struct {
	ID      string
	Sandbox string
	State   State
	PID     int // of its first process on the host, while it runs
	// ExitCode is the process's, or 128 + the signal that ended it. It is -1
	// when nobody could see it end.
	ExitCode   int
	OOMKilled  bool
	StartedAt  time.Time
	FinishedAt time.Time
	Labels     map[string]string
}

// Exec is a command to run inside a container.
type Exec struct {
	Args []string
	Env  []string // added to the container's
	User string   // the container's when empty
	Cwd  string
}

// Streams are a command's input and output while it runs. A writer that takes
// its time makes the command wait. Both may be written at the same time.
type Streams struct {
	// Stdin may be nil. The end of it is the end of the command's input, but of a
	// terminal. A Read may be under way when the command has ended, and what it
	// returns is lost.
	Stdin  io.Reader
	Stdout io.Writer
	// Stderr is not used with a terminal, where all output is one.
	Stderr io.Writer
	// Terminal makes the three a pseudo-terminal, of which the command is the
	// session's leader.
	Terminal bool
	// Size is the terminal's at first, and Sizes what it becomes; nil is never.
	Size  Size
	Sizes <-chan Size
}

// Size is that of a terminal, in characters. Zero is not known.
type Size struct{ Rows, Cols uint16 }

// ExecResult is how it ended. Output has at most the first 4 KiB of stdout and
// stderr together.
type ExecResult struct {
	ExitCode int
	Output   string
}
