package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/berth/berth/agent"
	"github.com/berth/berth/agent/runtime/images"
	"github.com/berth/berth/agent/volumes"
	"github.com/berth/berth/cli"
	"github.com/berth/berth/instance"
	"github.com/berth/berth/local"
	"github.com/berth/berth/state"
)

// up starts Berth.
type up struct {
	Listen            string        `default:"127.0.0.1:4566" help:"Where the AWS APIs listen (${default}). Loopback only, until there is TLS." placeholder:"ADDR"`
	AccountID         string        `name:"account-id" default:"123456789012" help:"The AWS account that this installation is (${default})." placeholder:"ID"`
	Region            string        `default:"us-east-1" help:"The region of AWS that this installation is (${default}): its default VPC is made at the start." placeholder:"NAME"`
	CPUOvercommit     float64       `name:"cpu-overcommit" default:"1" help:"Place tasks on so many times the host's CPU (${default}). Limits inside a task stay hard." placeholder:"FACTOR"`
	MemoryOvercommit  float64       `name:"memory-overcommit" default:"1" help:"Place tasks on so many times the host's memory (${default}). Limits inside a task stay hard." placeholder:"FACTOR"`
	PublicPool        string        `name:"public-pool" help:"Where public addresses are taken from. By default a part of 127.0.0.0/8, for this host alone." placeholder:"CIDR"`
	Credentials       string        `enum:"verify,any" default:"verify" help:"Whether requests must be signed with this installation's keys: verify, or any (no verification at all: throw-away use only)."`
	ContainerMetadata bool          `name:"container-metadata" env:"ECS_ENABLE_CONTAINER_METADATA" help:"Give containers of launch types EC2 and EXTERNAL a metadata file."`
	PullBehavior      string        `name:"image-pull-behavior" env:"ECS_IMAGE_PULL_BEHAVIOR" enum:"default,always,once,prefer-cached" default:"default" help:"When a registry is asked for an image: default (always, and the present one is taken if it doesn't answer), always, once or prefer-cached (if the image is absent; with the latter no image is removed to make room)."`
	LazyImages        bool          `name:"lazy-images" default:"true" negatable:"" help:"Start containers while the layers of their image still come, where those are made for it (eStargz)."`
	EFS               []string      `name:"efs" help:"What stands for an EFS file system: fs-0123abcd=SERVER:/PATH by NFS, or fs-0123abcd=/DIRECTORY of this host. May be given more than once." placeholder:"ID=TARGET"`
	RegistryConfig    string        `name:"registry-config" help:"File with the registries' credentials, in the form of Docker's config.json. By default registry.json in the data directory or, without it, config.json in $$DOCKER_CONFIG." placeholder:"FILE"`
	InsecureRegistry  []string      `name:"insecure-registry" help:"Registry that speaks plain HTTP, as host or host:port. Those on loopback addresses always do. May be given more than once." placeholder:"HOST"`
	ImageGCHigh       int           `name:"image-gc-high" default:"85" help:"Remove images that no task uses when more percent of the disk are in use (${default}); 0 never does." placeholder:"PERCENT"`
	ImageGCLow        int           `name:"image-gc-low" default:"80" help:"Remove no more of them than until so many percent are (${default})." placeholder:"PERCENT"`
	ImageGCMinAge     time.Duration `name:"image-gc-min-age" env:"ECS_IMAGE_MINIMUM_CLEANUP_AGE" default:"30m" help:"How long an image stays after its last use (${default})." placeholder:"DURATION"`
	ImageGCInterval   time.Duration `name:"image-gc-interval" default:"1m" help:"How often the disk is looked at (${default})." placeholder:"DURATION"`
	Runtime           string        `help:"OCI runtime of tasks on container instances: a program, or its name in PATH, like crun, runc or runsc (gVisor). By default crun or, where there is none, runc." placeholder:"PROGRAM"`
	FargateRuntime    string        `name:"fargate-runtime" help:"OCI runtime of Fargate tasks, in the same way. runsc gives each container a kernel of its own." placeholder:"PROGRAM"`
	GPUDir            string        `name:"gpu-dir" default:"/dev" help:"Where the device files of the host's GPUs are (${default}): nvidia0, nvidia1, …" placeholder:"DIR"`
	SpotFallback      bool          `name:"spot-fallback" help:"Give tasks of FARGATE_SPOT the capacity of FARGATE while Spot capacity is not to be had ('berth spot interrupt --closed-for'). AWS never does that."`
	StoppedRetention  time.Duration `name:"stopped-retention" default:"1h" help:"How long STOPPED tasks stay visible (${default})." placeholder:"DURATION"`
	LogLevel          slog.Level    `name:"log-level" default:"info" help:"debug, info, warn or error (${default})." placeholder:"LEVEL"`
	Detach            bool          `help:"Go to the background once ready. Output goes to berth.log in the data directory."`
	ReadyFD           int           `name:"ready-fd" hidden:"" help:"File descriptor to write a line to when ready."`
}

// Run starts Berth and stays until SIGTERM.
func (u *up) Run(g *cli.Globals) error {
	cfg, err := u.config(g.DataDir)
	if err != nil {
		return err
	}
	if u.Detach {
		return detach(g)
	}
	cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: u.LogLevel}))
	b, err := start(g.Context, cfg)
	if err != nil {
		return err
	}
	if u.ReadyFD > 0 {
		ready := os.NewFile(uintptr(u.ReadyFD), "ready")
		_, err := fmt.Fprintln(ready, "ready")
		if err := errors.Join(err, ready.Close()); err != nil {
			cfg.Log.Warn("nobody waits for this berth to be ready", "err", err)
		}
	}
	return b.wait(g.Context)
}

var (
	accountPattern = regexp.MustCompile(`^\d{12}$`)
	regionPattern  = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)+-\d{1,2}$`)
)

// maxOvercommit keeps capacity to numbers that can be added up.
const maxOvercommit = 10_000

// config checks the flags.
func (u *up) config(dir string) (Config, error) {
	cfg := Config{
		DataDir: dir, Listen: u.Listen, Account: u.AccountID, Region: u.Region,
		CPUOvercommit: u.CPUOvercommit, MemoryOvercommit: u.MemoryOvercommit,
		GPUDir: u.GPUDir, Runtime: u.Runtime, FargateRuntime: u.FargateRuntime,
		Verify: u.Credentials == "verify", StoppedRetention: u.StoppedRetention, SpotFallback: u.SpotFallback, MetadataFiles: u.ContainerMetadata,
		ReadyStorage: int64(state.DefaultEphemeralGiB) << 30,
	}
	if u.LazyImages {
		var err error
		if cfg.LazyLayers, err = lazyCommand(); err != nil {
			return cfg, err
		}
	}
	host, _, err := net.SplitHostPort(u.Listen)
	if err != nil {
		return cfg, fmt.Errorf("--listen %s: %w", u.Listen, err)
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return cfg, fmt.Errorf("--listen %s: only a loopback address can be listened on until TLS is there: secrets would cross the network in the clear", u.Listen)
	}
	if !accountPattern.MatchString(u.AccountID) {
		return cfg, fmt.Errorf("--account-id %s: an account ID is 12 digits", u.AccountID)
	}
	if !regionPattern.MatchString(u.Region) {
		return cfg, fmt.Errorf("--region %s: give the name of a region, like us-east-1", u.Region)
	}
	for _, factor := range []float64{u.CPUOvercommit, u.MemoryOvercommit} {
		if !(factor >= 1 && factor <= maxOvercommit) {
			return cfg, fmt.Errorf("--cpu-overcommit and --memory-overcommit are factors of 1 or more, and at most %d", maxOvercommit)
		}
	}
	if u.StoppedRetention < 0 {
		return cfg, errors.New("--stopped-retention can't be negative")
	}
	if err := cfg.checkRuntimes(); err != nil {
		return cfg, err
	}
	if err := u.images(&cfg); err != nil {
		return cfg, err
	}
	if cfg.EFS, err = fileSystems(u.EFS); err != nil {
		return cfg, err
	}
	if u.PublicPool != "" {
		if cfg.PublicPool, err = netip.ParsePrefix(u.PublicPool); err != nil || !cfg.PublicPool.Addr().Is4() {
			return cfg, fmt.Errorf("--public-pool %s: give an IPv4 range, like 127.100.0.0/16", u.PublicPool)
		}
	}
	return cfg, nil
}

// fileSystems reads the flags --efs.
func fileSystems(flags []string) (map[string]string, error) {
	all := map[string]string{}
	for _, text := range flags {
		id, target, err := volumes.ParseEFS(text)
		if err != nil {
			return nil, fmt.Errorf("--efs %s: %w", text, err)
		}
		if all[id] != "" {
			return nil, fmt.Errorf("--efs %s: %s is %s already", text, id, all[id])
		}
		all[id] = target
	}
	return all, nil
}

// images checks the flags of images and registries.
func (u *up) images(cfg *Config) error {
	cfg.PullBehavior = agent.PullBehavior(u.PullBehavior)
	cfg.Registries = images.Registries{Insecure: u.InsecureRegistry, ConfigFiles: []string{filepath.Join(cfg.DataDir, "registry.json")}}
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		cfg.Registries.ConfigFiles = append(cfg.Registries.ConfigFiles, filepath.Join(dir, "config.json"))
	}
	if u.RegistryConfig != "" {
		if _, err := os.Stat(u.RegistryConfig); err != nil {
			return fmt.Errorf("--registry-config: %w", err)
		}
		cfg.Registries.ConfigFiles = []string{u.RegistryConfig}
	}
	if err := cfg.Registries.Check(); err != nil {
		return err
	}
	if u.ImageGCHigh == 0 || cfg.PullBehavior == agent.PullPreferCached {
		return nil
	}
	gc := images.GC{High: u.ImageGCHigh, Low: u.ImageGCLow, MinAge: u.ImageGCMinAge, Interval: u.ImageGCInterval}
	if err := gc.Check(); err != nil {
		return fmt.Errorf("--image-gc-high, --image-gc-low, --image-gc-min-age, --image-gc-interval: %w", err)
	}
	cfg.ImageGC = &gc
	return nil
}

// detach runs the same command in a session of its own, and returns when that
// is ready.
func detach(g *cli.Globals) error {
	if err := os.MkdirAll(g.DataDir, 0o711); err != nil {
		return err
	}
	path := filepath.Join(g.DataDir, "berth.log")
	out, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	began, err := out.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := slices.DeleteFunc(slices.Clone(os.Args[1:]), func(a string) bool { return a == "--detach" })
	cmd := exec.Command(self, append(args, "--ready-fd", strconv.Itoa(3))...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = out, out, []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return err
	}
	if line, err := io.ReadAll(r); err != nil || !strings.HasPrefix(string(line), "ready") {
		err := cmd.Wait()
		said, _ := os.ReadFile(path)
		return fmt.Errorf("berth did not get ready: %v; it said:\n%s", err, said[min(began, int64(len(said))):])
	}
	endpoint, err := instance.ReadEndpoint(g.DataDir)
	if err != nil {
		return err
	}
	fmt.Fprintf(g.Out, "Berth is ready on %s (process %d, output in %s)\n", endpoint.URL, cmd.Process.Pid, path)
	return cmd.Process.Release()
}

// down ends Berth and everything of it.
type down struct {
	Purge bool `help:"Remove the data directory too: all records, logs, images and keys."`
}

// Run asks the running Berth to go down, or cleans up after one that is not
// running.
func (d *down) Run(g *cli.Globals) error {
	if !instance.Exists(g.DataDir) {
		return fmt.Errorf("%s is no data directory of berth", g.DataDir)
	}
	err := local.Dial(g.DataDir).Down(g.Context)
	if errors.Is(err, local.ErrNotRunning) {
		err = cleanUp(g.Context, g.DataDir)
	}
	if err != nil {
		return fmt.Errorf("go down: %w", err)
	}
	// The process answers before it ends: its lock goes with it.
	if err := instance.AwaitEnd(g.Context, g.DataDir); err != nil {
		return err
	}
	if d.Purge {
		return os.RemoveAll(g.DataDir)
	}
	return nil
}

// cleanUp takes down what a Berth that no longer runs has left on the host. It
// starts the same parts, on a port that nobody is told, to do so.
func cleanUp(ctx context.Context, dir string) error {
	keys, err := instance.ReadKeys(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // its first start didn't get to making anything
	}
	if err != nil {
		return err
	}
	last, err := instance.ReadEndpoint(dir)
	if errors.Is(err, fs.ErrNotExist) {
		last.Region, err = "us-east-1", nil // it never listened
	}
	if err != nil {
		return err
	}
	b, err := start(ctx, Config{
		DataDir: dir, Listen: "127.0.0.1:0", Account: keys.Account, Region: last.Region, CPUOvercommit: 1, MemoryOvercommit: 1, GPUDir: "/dev",
		Verify: true, StoppedRetention: time.Hour, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	return errors.Join(b.down(ctx), b.close())
}
