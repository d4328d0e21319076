package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/netutil"

	"github.com/berth/berth/agent"
	"github.com/berth/berth/agent/exec"
	"github.com/berth/berth/agent/gpu"
	"github.com/berth/berth/agent/logdriver"
	"github.com/berth/berth/agent/logdriver/forward"
	"github.com/berth/berth/agent/metadata"
	"github.com/berth/berth/agent/network"
	"github.com/berth/berth/agent/runtime/crun"
	"github.com/berth/berth/agent/runtime/images"
	"github.com/berth/berth/agent/volumes"
	"github.com/berth/berth/api/cloudwatch"
	"github.com/berth/berth/api/ec2"
	"github.com/berth/berth/api/ecs"
	"github.com/berth/berth/api/eks"
	"github.com/berth/berth/api/logs"
	"github.com/berth/berth/api/s3"
	"github.com/berth/berth/api/ssm"
	"github.com/berth/berth/api/ssmmessages"
	"github.com/berth/berth/api/sts"
	"github.com/berth/berth/blobstore"
	"github.com/berth/berth/control"
	"github.com/berth/berth/control/dispatch"
	"github.com/berth/berth/control/nodes"
	"github.com/berth/berth/control/reaper"
	"github.com/berth/berth/control/services"
	"github.com/berth/berth/instance"
	"github.com/berth/berth/launch"
	"github.com/berth/berth/local"
	"github.com/berth/berth/logstore"
	"github.com/berth/berth/metricstore"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/store/etcd"
	"github.com/berth/berth/wire"
)

// Config is a checked `berth up`.
type Config struct {
	DataDir          string
	Listen           string
	Account          string
	Region           string
	CPUOvercommit    float64
	MemoryOvercommit float64
	PublicPool       netip.Prefix // zero: the instance's own part of loopback
	Verify           bool
	StoppedRetention time.Duration
	SpotFallback     bool              // FARGATE_SPOT on FARGATE's capacity while its own is not to be had
	Runtime          string            // OCI runtime of container instances; empty: the host's own
	FargateRuntime   string            // that of Fargate tasks
	GPUDir           string            // where GPUs' device files are
	ReadyStorage     int64             // bytes; the size of task storage that some is kept ready of
	EFS              map[string]string // what file systems are mapped to, by ID
	MetadataFiles    bool              // for containers of container instances
	PullBehavior     agent.PullBehavior
	Registries       images.Registries
	LazyLayers       []string   // see crun.Config
	ImageGC          *images.GC // nil: images are never removed to make room
	Log              *slog.Logger
}

// berth is a running installation: every part, and how to end them.
type berth struct {
	cfg      Config
	log      *slog.Logger
	started  time.Time
	instance *instance.Instance
	endpoint instance.Endpoint
	node     state.Node
	notes    []string

	store    *store.Store
	logs     *logstore.Store
	blobs    *blobstore.Store
	metrics  *metricstore.Store
	runtime  *crun.Runtime
	volumes  *volumes.Volumes
	network  *network.Network
	gpus     *gpu.Host
	answers  *metadata.Server
	shipper  *logdriver.Shipper
	agent    *agent.Agent
	reaper   *control.Driver
	services *control.Driver
	launcher *launch.Launcher

	ec2      *ec2.Service
	sessions *ssmmessages.Sessions

	stop   context.CancelFunc // ends the loops and listeners
	work   sync.WaitGroup
	failed chan error // what ended by itself, and so ends all
	ending chan struct{}
	// stopOrders ends what the node is told, so that nothing is made any more.
	stopOrders context.CancelFunc
	closer     []func() error // in the order of opening

	// stopServices ends the loop that keeps services' tasks, and waits for its end.
	stopServices func()

	goingDown atomic.Bool // no more calls are taken
}

// start opens all parts, in the order in which they need each other, and
// returns when requests are answered. When one can't be opened, those before it
// are closed again.
func start(ctx context.Context, cfg Config) (_ *berth, err error) {
	b := &berth{cfg: cfg, log: cfg.Log, started: time.Now(), failed: make(chan error, 16), ending: make(chan struct{})}
	// The loops outlive the signal that asks for their end: they are stopped in
	// order by close.
	loops, stop := context.WithCancel(context.WithoutCancel(ctx))
	b.stop = stop
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if os.Geteuid() != 0 {
		return nil, errors.New("run it as root: it makes namespaces, mounts and cgroups for containers")
	}
	if b.instance, err = instance.Open(cfg.DataDir, cfg.Account); err != nil {
		return nil, err
	}
	b.closer = append(b.closer, b.instance.Close)
	// A host is capacity of one region: tasks of another would run on unseen.
	last, err := instance.ReadEndpoint(cfg.DataDir)
	switch {
	case err == nil && last.Region != "" && last.Region != cfg.Region:
		return nil, fmt.Errorf("the data directory %s is of region %s, not %s: give --region %s or another --data-dir", cfg.DataDir, last.Region, cfg.Region, last.Region)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read where the last start listened: %w (remove that file: it is written at each start)", err)
	}
	for _, part := range []string{"store", "logs", "blobs", "metrics", "runtime", "node", "sessions"} {
		if err := b.instance.MakePrivate(part); err != nil {
			return nil, err
		}
	}
	if !b.cfg.PublicPool.IsValid() {
		b.cfg.PublicPool = netip.MustParsePrefix(b.instance.PublicPool())
	}
	b.launcher = &launch.Launcher{PublicPool: b.cfg.PublicPool, Now: time.Now, SpotFallback: cfg.SpotFallback}
	if err := b.openStore(ctx); err != nil {
		return nil, err
	}
	if err := b.openNode(ctx); err != nil {
		return nil, err
	}
	reports := dispatch.New(b.store, time.Now, b.log.With("part", "dispatch"))
	if b.agent, err = agent.New(agent.Config{
		Dir: b.instance.Path("node"), Node: b.node.ID, Runtime: b.runtime, Network: b.network, Logs: b.shipper, Objects: s3.NewReader(b.blobs), Reporter: reports, Volumes: b.volumes, Metadata: b.answers, GPUs: b.gpus, MetadataFiles: cfg.MetadataFiles,
		PullBehavior: cfg.PullBehavior, Log: b.log.With("part", "agent"),
	}); err != nil {
		return nil, err
	}
	if err := b.openSessions(); err != nil {
		return nil, err
	}
	b.reaper = control.New("reaper", b.store, reaper.New(b.store, time.Now, cfg.StoppedRetention), reaper.On(), b.log)
	keeper := services.New(b.store, b.launcher, time.Now)
	b.services = control.New("services", b.store, keeper, keeper.On(), b.log)
	b.run("metadata", func() error { return b.answers.Serve(loops, b.agent, b.runtime, b.network, reports) })
	orders, stopOrders := context.WithCancel(loops)
	b.stopOrders = stopOrders
	b.run("dispatch", func() error {
		err := reports.Connect(orders, b.node.ID, b.agent)
		if orders.Err() != nil { // whatever came of an order that was under way
			return orders.Err()
		}
		return err
	})
	b.run("nodes", func() error { return nodes.Watch(loops, b.store, b.node.ID, time.Now) })
	if cfg.ImageGC != nil {
		b.run("images", func() error { return b.runtime.TendImages(loops, *cfg.ImageGC, b.agent.Images) })
	}
	b.run("reaper", func() error { return b.reaper.Run(loops) })
	keeping, stopKeeping := context.WithCancel(loops)
	kept := make(chan struct{})
	b.stopServices = func() { stopKeeping(); <-kept }
	b.run("services", func() error {
		defer close(kept)
		return b.services.Run(keeping)
	})
	return b, b.serve(loops)
}

// openStore opens the records, and makes those that every installation has.
func (b *berth) openStore(ctx context.Context) error {
	backend, err := etcd.Open(ctx, etcd.Config{Dir: b.instance.Path("store"), Log: b.log})
	if err != nil {
		return err
	}
	if b.store, err = store.Open(ctx, backend); err != nil {
		return errors.Join(err, backend.Close())
	}
	b.closer = append(b.closer, b.store.Close)
	b.ec2 = ec2.New(ec2.Config{Store: b.store, Now: time.Now, Log: b.log, DefaultPrefix: state.DefaultPrefix})
	return b.ec2.EnsureDefaultVPC(ctx, state.Scope{Account: b.cfg.Account, Region: b.cfg.Region})
}

// openNode opens what runs tasks on this host, and registers the host.
func (b *berth) openNode(ctx context.Context) error {
	var err error
	if b.logs, err = logstore.Open(b.instance.Path("logs"), time.Now, b.log.With("part", "logs")); err != nil {
		return err
	}
	b.closer = append(b.closer, b.logs.Close)
	if b.blobs, err = blobstore.Open(b.instance.Path("blobs"), time.Now); err != nil {
		return err
	}
	b.closer = append(b.closer, b.blobs.Close)
	if b.metrics, err = metricstore.Open(b.instance.Path("metrics"), time.Now); err != nil {
		return err
	}
	b.closer = append(b.closer, b.metrics.Close)
	if b.runtime, err = crun.Open(ctx, crun.Config{
		Root: b.instance.Path("runtime"), Instance: b.instance.ID, Registries: b.cfg.Registries, Runtimes: b.cfg.runtimes(), LazyLayers: b.cfg.LazyLayers,
		ReadyStorage: b.cfg.ReadyStorage, Log: b.log.With("part", "runtime"),
	}); err != nil {
		return err
	}
	b.closer = append(b.closer, b.runtime.Close)
	if why := b.runtime.StorageProblem(); why != nil {
		b.notes = append(b.notes, "the storage of Fargate tasks has no limit: "+why.Error())
		b.log.Warn("the storage of Fargate tasks has no limit", "because", why)
	}
	// Below the runtime's directory, on the mount that it makes the namespaces of
	// containers share where they wouldn't.
	if b.volumes, err = volumes.Open(volumes.Config{Dir: b.instance.Path("runtime", "volumes"), EFS: b.cfg.EFS, Log: b.log.With("part", "volumes")}); err != nil {
		return err
	}
	if b.network, err = network.Open(ctx, network.Config{Instance: b.instance.ID, Node: b.instance.Node, Log: b.log.With("part", "network")}); err != nil {
		return err
	}
	b.closer = append(b.closer, b.network.Close)
	if b.answers, err = metadata.Open(metadata.Config{Dir: b.instance.Path("node", "metadata"), Log: b.log.With("part", "metadata")}); err != nil {
		return err
	}
	b.closer = append(b.closer, b.answers.Close)
	lines, err := forward.New(logs.NewSink(b.logs), b.instance.Path("node", "logs"), b.log.With("part", "logdriver"))
	if err != nil {
		return err
	}
	b.closer = append(b.closer, lines.Close)
	if b.shipper, err = logdriver.New(lines, b.log.With("part", "logdriver")); err != nil {
		return err
	}
	b.closer = append(b.closer, b.shipper.Close)
	if b.gpus, err = gpu.Find(b.cfg.GPUDir, "/proc/driver/nvidia", b.instance.Node); err != nil {
		return fmt.Errorf("%w: give --gpu-dir another directory", err)
	}
	if b.node, err = thisHost(b.instance.Node, b.cfg); err != nil {
		return err
	}
	b.node.GPUs = b.gpus.IDs()
	return nodes.Register(ctx, b.store, b.node, time.Now())
}

// openSessions makes what carries ECS Exec's commands to this host.
func (b *berth) openSessions() error {
	objects, err := s3.OpenSpool(b.blobs, b.instance.Path("sessions"), b.log.With("part", "sessions"))
	if err != nil {
		return err
	}
	node := exec.New(b.runtime)
	b.sessions = ssmmessages.New(ssmmessages.Config{
		Node:        func(id string) (ssmmessages.Node, bool) { return node, id == b.node.ID },
		Transcripts: logs.NewSink(b.logs), Objects: objects, Log: b.log.With("part", "sessions"),
	})
	b.closer = append(b.closer, b.sessions.Close)
	return nil
}

// route sends those who come with a session's token to the sessions, all others
// to the APIs.
func (b *berth) route(apis http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, ssmmessages.Path) {
			b.sessions.ServeHTTP(w, r)
			return
		}
		apis.ServeHTTP(w, r)
	})
}

// serve listens, for AWS's clients and for the local commands.
func (b *berth) serve(ctx context.Context) error {
	server := &wire.Server{Authenticate: b.authenticate(), Log: b.log.With("part", "wire")}
	lines := logs.New(b.logs, time.Now, b.log.With("part", "logs"))
	b.closer = append(b.closer, lines.Close)
	for _, s := range []struct {
		description wire.Description
		service     any
	}{
		{wire.ECS, ecs.New(ecs.Config{Store: b.store, Now: time.Now, Log: b.log, Launcher: b.launcher, Sessions: b.sessions})},
		{wire.EC2, b.ec2},
		{wire.Logs, lines},
		{wire.SSM, ssm.New(b.sessions)},
		{wire.STS, sts.New()},
		{wire.S3, s3.New(b.blobs)},
		{wire.CloudWatch, cloudwatch.New(b.metrics, time.Now)},
		{wire.EKS, eks.New()},
	} {
		service, err := wire.NewService(s.description, s.service)
		if err != nil {
			return err
		}
		server.Services = append(server.Services, service)
	}
	listener, err := net.Listen("tcp", b.cfg.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("listen on %s: another process does that already ('ss -ltnp' shows which): end it, or give --listen another address", b.cfg.Listen)
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w (give --listen another address)", b.cfg.Listen, err)
	}
	b.endpoint = instance.Endpoint{URL: "http://" + listener.Addr().String(), Region: b.cfg.Region}
	if err := b.instance.SetEndpoint(b.endpoint); err != nil {
		return errors.Join(err, listener.Close())
	}
	door, err := local.Listen(b.instance.Dir)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	b.listen(ctx, "AWS APIs", listener, b.untilDown(b.route(server)), apiLimits)
	b.listen(ctx, "local door", door, b.door(), limits{})
	if !b.cfg.Verify {
		b.log.Warn("REQUESTS ARE NOT VERIFIED (--credentials=any): whoever can connect can do anything. For throw-away use only.")
	}
	b.log.Info("ready", "endpoint", b.endpoint.URL, "instance", b.instance.ID, "after", time.Since(b.started).Round(time.Millisecond))
	return nil
}

// limits keep one who connects from holding what others need. Zero is none.
type limits struct {
	connections int
	read        time.Duration // of a whole request
	header      int           // bytes
}

// apiLimits leave room for the largest request on a slow line. Answers take as
// long as they take: some are streams.
var apiLimits = limits{connections: 4096, read: time.Minute, header: 64 << 10}

// listen serves until ctx ends, and then gives requests under way a moment.
func (b *berth) listen(ctx context.Context, name string, l net.Listener, h http.Handler, m limits) {
	if m.connections > 0 {
		l = netutil.LimitListener(l, m.connections)
	}
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: m.read, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: m.header, ErrorLog: slog.NewLogLogger(b.log.Handler(), slog.LevelDebug),
	}
	context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		server.Shutdown(grace)
	})
	b.run(name, func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	})
}

// run keeps f going in the background. f ends only when its context does; any
// other end is the end of all, since a Berth without that part would lie.
func (b *berth) run(name string, f func() error) {
	b.work.Go(func() {
		if err := f(); !errors.Is(err, context.Canceled) {
			b.failed <- fmt.Errorf("%s ended: %w", name, err)
		}
	})
}

// wait stays until ctx ends, a part fails, or `berth down` has done its work.
func (b *berth) wait(ctx context.Context) error {
	var err error
	select {
	case <-ctx.Done():
		b.log.Info("ending; tasks run on")
	case err = <-b.failed:
	case <-b.ending:
	}
	return errors.Join(err, b.close())
}

// close ends all parts: what works, then what it works on, the last one opened
// first. Tasks run on.
func (b *berth) close() error {
	b.stop()
	var errs []error
	if b.agent != nil {
		errs = append(errs, b.agent.Close())
	}
	b.work.Wait()
	for _, c := range slices.Backward(b.closer) {
		errs = append(errs, c())
	}
	b.closer = nil
	return errors.Join(errs...)
}

// authenticate is how requests prove who they are from.
func (b *berth) authenticate() wire.Authenticate {
	if !b.cfg.Verify {
		return wire.AcceptAny(b.cfg.Account, b.cfg.Region)
	}
	return wire.Verify(rootKeys{b.instance.Keys}, time.Now)
}

// rootKeys knows the installation's own keys. Others come with IAM.
type rootKeys struct{ keys instance.Keys }

// Lookup implements wire.Credentials.
func (r rootKeys) Lookup(_ context.Context, accessKeyID string) (wire.Credential, bool, error) {
	if accessKeyID != r.keys.AccessKeyID {
		return wire.Credential{}, false, nil
	}
	return wire.Credential{Secret: r.keys.SecretAccessKey, Account: r.keys.Account, ARN: "arn:aws:iam::" + r.keys.Account + ":root", UserID: r.keys.Account}, true, nil
}

// hostname is for people to tell nodes apart.
func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "unnamed"
	}
	return name
}
