package agent_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/agent"
	"github.com/berth/berth/agent/metadata"
	"github.com/berth/berth/agent/network"
	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/agent/runtime/crun"
	"github.com/berth/berth/state"
)

// node is an agent with all of its real parts, on this host.
type node struct {
	t        *testing.T
	dir      string
	instance string
	log      *slog.Logger

	runtime *crun.Runtime
	network *network.Network
	answers *metadata.Server
	agent   *agent.Agent
	stop    context.CancelFunc
	work    sync.WaitGroup

	mu     sync.Mutex
	latest map[string]state.TaskReport
	news   chan struct{}
}

// Report implements agent.Reporter.
func (n *node) Report(_ context.Context, reports []state.TaskReport) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range reports {
		n.latest[r.TaskID] = r
	}
	close(n.news)
	n.news = make(chan struct{})
	return nil
}

// Follow and Finish implement agent.Logs for those who don't read.
func (n *node) Follow(string, string, *state.LogTarget) error { return nil }
func (n *node) Finish(_ context.Context, id string) error {
	if err := os.Remove(n.runtime.LogPath(id)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func newNode(t *testing.T) *node {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test runs containers: run it as root")
	}
	id := make([]byte, 4)
	rand.Read(id)
	n := &node{t: t, dir: t.TempDir(), instance: hex.EncodeToString(id), log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		latest: map[string]state.TaskReport{}, news: make(chan struct{})}
	n.open()
	t.Cleanup(func() {
		n.must(n.agent.Destroy(context.Background()))
		n.must(n.network.Destroy(context.Background()))
		n.must(n.runtime.Destroy(context.Background()))
		n.close()
		names, _ := filepath.Glob("/run/netns/berth-" + n.instance + "*")
		if len(names) > 0 {
			t.Errorf("left: %v", names)
		}
	})
	return n
}

func (n *node) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) open() {
	n.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	var err error
	n.runtime, err = crun.Open(ctx, crun.Config{Root: filepath.Join(n.dir, "runtime"), Instance: n.instance, Log: n.log})
	n.must(err)
	n.network, err = network.Open(ctx, network.Config{Instance: n.instance, Node: "n1", Log: n.log})
	n.must(err)
	n.answers, err = metadata.Open(metadata.Config{Dir: filepath.Join(n.dir, "metadata"), Log: n.log})
	n.must(err)
	n.agent, err = agent.New(agent.Config{Dir: filepath.Join(n.dir, "node"), Node: "n1", Runtime: n.runtime, Network: n.network, Logs: n, Reporter: n, Metadata: n.answers, MetadataFiles: true, Log: n.log})
	n.must(err)
	n.work.Go(func() { n.answers.Serve(ctx, n.agent, n.runtime, n.network, nil) })
	n.work.Go(func() { n.agent.Run(ctx) })
}

func (n *node) close() {
	n.t.Helper()
	n.stop()
	n.work.Wait()
	n.must(n.agent.Close())
	n.must(n.network.Close())
	n.must(n.runtime.Close())
}

// importProbe gives the node the end-to-end tests' image, probe:latest.
func (n *node) importProbe() {
	n.t.Helper()
	dir := n.t.TempDir()
	probe, tar := filepath.Join(dir, "probe"), filepath.Join(dir, "probe.tar")
	for _, args := range [][]string{
		{"build", "-ldflags", "-s -w", "-o", probe, "../e2e/probe"},
		{"run", "../examples/hello/image", "-program", probe, "-name", "probe:latest", "-o", tar},
	} {
		cmd := exec.Command("go", args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			n.t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	f, err := os.Open(tar)
	n.must(err)
	defer f.Close()
	_, err = n.runtime.Import(context.Background(), f, "")
	n.must(err)
}

// order is a task of some network mode.
func order(id string, mode types.NetworkMode, ports map[string][]state.PortBinding, containers ...types.ContainerDefinition) state.Assignment {
	as := state.Assignment{Task: state.Task{
		Scope: state.Scope{Account: "123456789012", Region: "us-east-1"}, Cluster: "default", ID: id, Family: "f", Revision: 1, Node: "n1",
		LaunchType: types.LaunchTypeEc2, ContainerInstance: "ci", NetworkMode: mode, Desired: state.Running, Last: state.Provisioning, Memory: 256,
	}}
	as.Definition.V = types.TaskDefinition{Family: aws.String("f"), Revision: 1, NetworkMode: mode, ContainerDefinitions: containers}
	for _, c := range containers {
		as.Task.Containers = append(as.Task.Containers, state.Container{Name: *c.Name, ID: *c.Name, Ports: ports[*c.Name]})
	}
	return as
}

func probe(name string, command ...string) types.ContainerDefinition {
	return types.ContainerDefinition{Name: &name, Image: aws.String("probe:latest"), Command: command, StopTimeout: aws.Int32(2)}
}

// await waits until a report of the task satisfies.
func (n *node) await(id string, want func(state.TaskReport) bool) state.TaskReport {
	n.t.Helper()
	late := time.After(60 * time.Second)
	for {
		n.mu.Lock()
		r, news := n.latest[id], n.news
		n.mu.Unlock()
		if want(r) {
			return r
		}
		select {
		case <-news:
		case <-late:
			n.t.Fatalf("task %s is %s: %s %q", id, r.State, r.StopCode, r.StoppedReason)
		}
	}
}

func (n *node) run(tasks ...state.Assignment) {
	n.t.Helper()
	n.must(n.agent.Assign(context.Background(), state.Assignments{Full: true, Tasks: tasks}))
	for _, as := range tasks {
		if r := n.await(as.Task.ID, func(r state.TaskReport) bool { return r.State >= state.Running }); r.State != state.Running {
			n.t.Fatalf("task %s is %s: %q", as.Task.ID, r.State, r.StoppedReason)
		}
	}
}

// get fetches a URL, trying while nobody listens yet.
func (n *node) get(url string) (int, string) {
	n.t.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var err error
	for range 200 {
		var res *http.Response
		if res, err = client.Get(url); err == nil {
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			n.must(err)
			return res.StatusCode, string(b)
		}
		time.Sleep(25 * time.Millisecond) // the program has started, and is about to listen
	}
	n.t.Fatalf("%s: %v", url, err)
	return 0, ""
}

// dial has the container at a port connect to another, which has started and is
// about to listen on 5432.
func (n *node) dial(port int32, to string) (status int, text string) {
	n.t.Helper()
	for range 200 {
		if status, text = n.get(at(port, "/dial?to="+to+":5432")); status == 200 {
			break
		}
		time.Sleep(25 * time.Millisecond)
	}
	return status, text
}

func freePorts(t *testing.T, count int) (ports []int32) {
	t.Helper()
	for range count {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, int32(l.Addr().(*net.TCPAddr).Port))
	}
	return ports
}

func at(port int32, rest string) string { return fmt.Sprintf("http://127.0.0.1:%d%s", port, rest) }

func lead(host, container int32) state.PortBinding {
	return state.PortBinding{BindIP: "0.0.0.0", Protocol: types.TransportProtocolTcp, HostPort: host, ContainerPort: container, Count: 1}
}

// TestNetworkModes runs tasks of network modes bridge, host and none with all
// that is real on a node, and asks them about themselves, before and after the
// node's process was another.
func TestNetworkModes(t *testing.T) {
	n := newNode(t)
	n.importProbe()
	p := freePorts(t, 4)
	a, b, c, d := strings.Repeat("a", 32), strings.Repeat("b", 32), strings.Repeat("c", 32), strings.Repeat("d", 32)
	web := probe("web", "serve=80")
	web.Links = []string{"db:database"}
	tasks := []state.Assignment{
		order(a, types.NetworkModeBridge, map[string][]state.PortBinding{"web": {lead(p[0], 80)}}, web, probe("db", "serve=5432")),
		order(b, types.NetworkModeBridge, map[string][]state.PortBinding{"web": {lead(p[1], 80)}}, probe("web", "serve=80")),
		order(c, types.NetworkModeHost, nil, probe("web", fmt.Sprint("serve=", p[2]))),
		order(d, types.NetworkModeNone, nil, probe("web", "serve=80")),
	}
	n.run(tasks...)
	type document struct {
		Name, KnownStatus, TaskARN, Family string
		Networks                           []struct {
			NetworkMode   string
			IPv4Addresses []string
		}
		Containers []struct {
			Name     string
			Networks []struct{ IPv4Addresses []string }
		}
	}
	describe := func(port int32, path string) (doc document) {
		t.Helper()
		status, text := n.get(at(port, "/metadata?path="+path))
		if status != 200 {
			t.Fatalf("the metadata at port %d: %d %s", port, status, text)
		}
		n.must(json.Unmarshal([]byte(text), &doc))
		return doc
	}
	uri := func(port int32) string {
		_, text := n.get(at(port, "/env"))
		for line := range strings.Lines(text) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "ECS_CONTAINER_METADATA_URI_V4="); ok {
				return v
			}
		}
		t.Fatalf("no metadata URI in %s", text)
		return ""
	}
	foreign := func(asker int32, url_ string) {
		t.Helper()
		if status, text := n.get(at(asker, "/metadata?url="+url.QueryEscape(url_+"/task"))); status == 200 {
			t.Errorf("port %d reads %s: %d %s", asker, url_, status, text)
		}
	}
	check := func() {
		t.Helper()
		for port, task := range map[int32]string{p[0]: a, p[1]: b, p[2]: c} {
			if doc := describe(port, "/task"); !strings.HasSuffix(doc.TaskARN, task) || doc.Family != "f" {
				t.Errorf("port %d is of %s, want task %s", port, doc.TaskARN, task)
			}
			if status, text := n.get(at(port, "/metadata?path=/stats")); status != 200 || !strings.Contains(text, `"total_usage":`) || strings.Contains(text, `,"cpu_stats":{"cpu_usage":{"total_usage":0,`) {
				t.Errorf("stats at port %d: %d %s", port, status, text)
			}
		}
		web, db := describe(p[0], ""), netip.Addr{}
		if web.KnownStatus != "RUNNING" || web.Networks[0].NetworkMode != "bridge" {
			t.Errorf("the container is %+v", web)
		}
		for _, x := range describe(p[0], "/task").Containers {
			if x.Name == "db" {
				db = netip.MustParseAddr(x.Networks[0].IPv4Addresses[0])
			}
		}
		if status, text := n.dial(p[0], db.String()); status != 200 {
			t.Errorf("web doesn't reach db at %s: %s", db, text)
		}
		var file struct{ TaskARN, ContainerName, MetadataFileStatus string }
		if err := json.Unmarshal([]byte(metadataFile(t, n, p[0])), &file); err != nil || !strings.HasSuffix(file.TaskARN, a) || file.ContainerName != "web" || file.MetadataFileStatus != "READY" {
			t.Errorf("the metadata file has %+v, %v", file, err)
		}
		for _, name := range []string{"db", "database"} {
			if status, text := n.dial(p[0], name); status != 200 {
				t.Errorf("web doesn't reach db by its link as %s: %s", name, text)
			}
		}
		foreign(p[0], uri(p[1]))
		foreign(p[1], uri(p[0]))
		foreign(p[0], uri(p[2])) // at 127.0.0.1, where this container has nothing
		foreign(p[2], uri(p[0]))
		code := uri(p[2])
		foreign(p[2], code[:strings.LastIndex(code, ".")])
	}
	check()
	if uri(p[0]) == "" || !strings.HasPrefix(uri(p[2]), "http://127.0.0.1:") {
		t.Errorf("URIs %s and %s", uri(p[0]), uri(p[2]))
	}

	// None: nothing but lo, which works.
	all, err := n.runtime.ListContainers(context.Background())
	n.must(err)
	i := slices.IndexFunc(all, func(s runtime.Status) bool { return s.Sandbox == d })
	devices, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", all[i].PID))
	n.must(err)
	addresses, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/fib_trie", all[i].PID))
	n.must(err)
	if strings.Count(string(devices), ":") != 1 || !strings.Contains(string(devices), "lo:") || !strings.Contains(string(addresses), "127.0.0.1") {
		t.Errorf("network mode none has %s %s", devices, addresses)
	}

	// A port that somebody has.
	taken := order(strings.Repeat("e", 32), types.NetworkModeBridge, map[string][]state.PortBinding{"web": {lead(p[0], 80)}}, probe("web", "serve=80"))
	n.must(n.agent.Assign(context.Background(), state.Assignments{Tasks: []state.Assignment{taken}}))
	r := n.await(taken.Task.ID, func(r state.TaskReport) bool { return r.State == state.Stopped })
	if !strings.Contains(r.StoppedReason, "CannotStartContainerError") || !strings.Contains(r.StoppedReason, fmt.Sprintf("Bind for 0.0.0.0:%d failed: port is already allocated", p[0])) {
		t.Errorf("a taken port: %q", r.StoppedReason)
	}

	// Another process, and a rule set that somebody flushed meanwhile.
	own := uri(p[2])
	n.close()
	if status, _ := n.get(at(p[0], "/")); status != 200 {
		t.Errorf("between processes: %d", status)
	}
	n.open()
	n.must(n.agent.Assign(context.Background(), state.Assignments{Full: true, Tasks: tasks}))
	check()
	if uri(p[2]) != own {
		t.Error("a container's URI has changed")
	}
	tasks[0].Task.Desired = state.Stopped
	n.must(n.agent.Assign(context.Background(), state.Assignments{Tasks: tasks[:1]}))
	n.await(a, func(r state.TaskReport) bool { return r.State == state.Stopped })
	if c, err := net.DialTimeout("tcp4", fmt.Sprintf("127.0.0.1:%d", p[0]), time.Second); err == nil {
		c.Close()
		t.Error("the port of a stopped task leads somewhere")
	}
}

// metadataFile is the file that a container finds by its environment.
func metadataFile(t *testing.T, n *node, port int32) string {
	t.Helper()
	status, text := n.get(at(port, "/file?env=ECS_CONTAINER_METADATA_FILE"))
	if status != 200 {
		t.Fatalf("the metadata file: %d %s", status, text)
	}
	return text
}
