package metadata

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/state"
)

// node is a node of a few tasks; each has a loopback address to ask from.
type node struct {
	t        *testing.T
	tasks    map[string]*Task
	stats    map[string]runtime.Stats
	owners   map[string]string // address: task
	listener net.Listener
	server   *Server
	// unreachable is what the server is to the node.
	unreachable bool
}

func (n *node) Task(id string) (*Task, bool) { t, ok := n.tasks[id]; return t, ok }

func (n *node) Stats(_ context.Context, id string) (runtime.Stats, error) {
	s, ok := n.stats[id]
	if !ok {
		return s, runtime.ErrNotFound
	}
	return s, nil
}

func (n *node) Storage(_ context.Context, sandbox string) (runtime.Storage, error) {
	if n.tasks[sandbox] == nil {
		return runtime.Storage{}, runtime.ErrNotFound
	}
	return runtime.Storage{Size: 20 << 30, Used: 261 << 20}, nil
}

func (n *node) Answer(serve func(net.Listener, func(netip.Addr) (string, bool))) {
	serve(n.listener, func(a netip.Addr) (string, bool) { t, ok := n.owners[a.String()]; return t, ok })
}

// Protection implements the interface of that name, as the server does.
func (n *node) Protection(ctx context.Context, task *state.Task, change *state.ProtectionChange) (state.Protection, *state.ProtectionFailure, error) {
	if n.unreachable {
		return state.Protection{}, nil, context.DeadlineExceeded
	}
	kept := &n.tasks[task.ID].Task
	if change != nil {
		if no := kept.Protect(*change, time.Now()); no != nil {
			return state.Protection{}, no, nil
		}
	}
	p, no := kept.Protection(time.Now())
	return p, no, nil
}

// Tags implements the interface of that name.
func (n *node) Tags(_ context.Context, task *state.Task) (own, instance []state.Tag, err error) {
	if n.unreachable {
		return nil, nil, context.DeadlineExceeded
	}
	if task.ContainerInstance != "" {
		instance = []state.Tag{{Key: "rack", Value: "7"}}
	}
	return []state.Tag{{Key: "team", Value: "x"}}, instance, nil
}

func newNode(t *testing.T, dir string) *node {
	t.Helper()
	n := &node{t: t, tasks: map[string]*Task{}, stats: map[string]runtime.Stats{}, owners: map[string]string{}}
	var err error
	if n.listener, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if n.server, err = Open(Config{Dir: dir, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}); err != nil {
		t.Fatal(err)
	}
	for i, mode := range []types.NetworkMode{types.NetworkModeAwsvpc, types.NetworkModeBridge, types.NetworkModeHost} {
		id := fmt.Sprintf("%032x", i+1)
		n.owners[fmt.Sprintf("127.0.0.%d", i+11)] = id
		n.tasks[id] = task(id, mode)
	}
	return n
}

func (n *node) serve() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.server.Serve(ctx, n, n, n, n) }()
	return func() {
		cancel()
		if err := <-done; err == nil || !strings.Contains(err.Error(), "canceled") {
			n.t.Errorf("served until %v", err)
		}
	}
}

var started = time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600))

func task(id string, mode types.NetworkMode) *Task {
	five := int32(5)
	t := &Task{
		Task: state.Task{
			Scope: state.Scope{Account: "123456789012", Region: "us-east-1"}, Cluster: "c", ID: id, Family: "web", Revision: 7,
			CPU: 256, Memory: 512, Desired: state.Running, Zone: "us-east-1a", LaunchType: types.LaunchTypeFargate, Group: "family:web",
			Tags: []state.Tag{{Key: "team", Value: "x"}},
		},
		Definition: &types.TaskDefinition{TaskRoleArn: aws.String("arn:aws:iam::123456789012:role/r"), ContainerDefinitions: []types.ContainerDefinition{
			{Name: aws.String("app"), HealthCheck: &types.HealthCheck{Command: []string{"CMD", "x"}}}, {Name: aws.String("init")},
		}},
		Mode: mode, Known: state.Running, PullStartedAt: started,
		Containers: []Container{
			{ID: id + "-0000000001", Name: "app", ARN: "arn:app", Image: "app:1", Digest: "sha256:1", CPU: 128, Memory: 256, Desired: state.Running, Known: "RUNNING", Health: types.HealthStatusHealthy,
				Labels: map[string]string{"com.amazonaws.ecs.cluster": "c"}, LogDriver: "awslogs", LogOptions: map[string]string{"awslogs-group": "g"}, StartedAt: started},
			{ID: id + "-0000000002", Name: "init", Desired: state.Stopped, Known: "STOPPED", ExitCode: &five},
		},
	}
	switch mode {
	case types.NetworkModeAwsvpc:
		t.Interface = state.Interface{VPC: "vpc-1", MAC: "02:00:00:00:00:01", Address: netip.MustParseAddr("10.0.1.5"), Gateway: netip.MustParseAddr("10.0.1.1"),
			SubnetPrefix: netip.MustParsePrefix("10.0.1.0/24"), PrivateDNS: "ip-10-0-1-5.ec2.internal", DNS: []netip.Addr{netip.MustParseAddr("10.0.0.2")}}
	default:
		t.Task.LaunchType, t.Task.ContainerInstance = types.LaunchTypeEc2, "i"
		t.Containers[0].Address = netip.MustParseAddr("172.17.0.2")
		t.Containers[0].Ports = []state.PortBinding{{BindIP: "0.0.0.0", Protocol: "tcp", ContainerPort: 80, HostPort: 32768, Count: 2}}
	}
	return t
}

// ask asks from a task's address (11, 12, 13) or, with 1, from nobody's.
func (n *node) ask(from int, method, url, body string) (int, map[string]any, string) {
	n.t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(from))}, Timeout: 5 * time.Second}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dialer.DialContext}, Timeout: 10 * time.Second}
	if strings.HasPrefix(url, base) {
		url = "http://" + n.listener.Addr().String() + strings.TrimPrefix(url, base)
	}
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	res, err := client.Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	var doc map[string]any
	json.Unmarshal(text, &doc)
	return res.StatusCode, doc, string(text)
}

func (n *node) url(task int, version, rest string) string {
	id := fmt.Sprintf("%032x", task)
	where, name := n.server.Endpoint(id+"-0000000001", n.tasks[id].Mode)
	return where + version + name + rest
}

func TestDocuments(t *testing.T) {
	n := newNode(t, t.TempDir())
	defer n.serve()()
	want := func(doc map[string]any, pairs ...any) {
		t.Helper()
		for i := 0; i < len(pairs); i += 2 {
			var at any = doc
			for _, key := range strings.Split(pairs[i].(string), "/") {
				switch v := at.(type) {
				case map[string]any:
					at = v[key]
				case []any:
					at = v[int(key[0]-'0')]
				default:
					at = nil
				}
			}
			if fmt.Sprint(at) != fmt.Sprint(pairs[i+1]) {
				t.Errorf("%s is %v, want %v", pairs[i], at, pairs[i+1])
			}
		}
	}
	status, doc, text := n.ask(11, "GET", n.url(1, "/v4/", "/task"), "")
	if status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	want(doc, "Cluster", "arn:aws:ecs:us-east-1:123456789012:cluster/c", "Family", "web", "Revision", "7", "DesiredStatus", "RUNNING", "KnownStatus", "RUNNING",
		"Limits/CPU", 0.25, "Limits/Memory", 512, "PullStartedAt", "2026-03-01T11:00:00Z", "AvailabilityZone", "us-east-1a", "LaunchType", "FARGATE", "VPCID", nil, "AvailabilityZoneID", "use1-az1", "Group", "family:web",
		"FaultInjectionEnabled", false, "TaskTags", nil, "Containers/1/ExitCode", 5, "Containers/1/KnownStatus", "STOPPED",
		"Containers/0/Networks/0/IPv4SubnetCIDRBlock", "10.0.1.0/24", "Containers/0/Networks/0/SubnetGatewayIpv4Address", "10.0.1.1/24",
		"Containers/0/Networks/0/IPv4Addresses/0", "10.0.1.5", "Containers/0/Networks/0/AttachmentIndex", 0, "Containers/0/Health/status", "HEALTHY",
		"EphemeralStorageMetrics/Utilized", 261, "EphemeralStorageMetrics/Reserved", 20480,
		"Containers/0/LogDriver", "awslogs", "Containers/0/ContainerARN", "arn:app", "Containers/0/ImageID", "sha256:1", "Containers/0/Limits/CPU", 128)
	if doc["ClockDrift"] == nil {
		t.Error("no ClockDrift on Fargate")
	}
	_, doc, _ = n.ask(11, "GET", n.url(1, "/v4/", "/taskWithTags"), "")
	want(doc, "TaskTags/team", "x")
	_, doc, _ = n.ask(11, "GET", n.url(1, "/v3/", ""), "")
	want(doc, "Name", "app", "LogDriver", nil, "ContainerARN", nil, "Networks/0/MACAddress", nil, "Networks/0/NetworkMode", "awsvpc", "Networks/0/IPv4Addresses/0", "10.0.1.5")
	_, doc, _ = n.ask(12, "GET", n.url(2, "/v4/", ""), "")
	want(doc, "Networks/0/NetworkMode", "bridge", "Networks/0/IPv4Addresses/0", "172.17.0.2", "Ports/1/HostPort", 32769, "Ports/1/ContainerPort", 81, "Ports/0/HostIp", "0.0.0.0",
		"DockerName", "ecs-web-7-app-0000000001")
	_, doc, _ = n.ask(12, "GET", n.url(2, "/v4/", "/task"), "")
	want(doc, "Cluster", "c", "LaunchType", "EC2", "ClockDrift", nil, "EphemeralStorageMetrics", nil, "Group", nil, "Containers/0/Snapshotter", nil)
	_, doc, _ = n.ask(12, "GET", n.url(2, "/v3/", "/taskWithTags"), "")
	want(doc, "TaskTags/team", "x", "ContainerInstanceTags/rack", "7", "AvailabilityZoneID", nil)
	n.unreachable = true
	_, doc, _ = n.ask(11, "GET", n.url(1, "/v4/", "/taskWithTags"), "")
	want(doc, "TaskTags", nil, "Errors/0/ErrorField", "TaskTags", "Errors/0/StatusCode", 500, "Family", "web")
	n.unreachable = false
	if status, _, text := n.ask(11, "GET", n.url(1, "/v4/", "/associations/gpu"), ""); status != 200 || text != `{"Associations":[]}` {
		t.Errorf("associations: %d %s", status, text)
	}
}

// TestNobodyElse: a task reads of itself and of no other, whatever it asks for.
func TestNobodyElse(t *testing.T) {
	dir := t.TempDir()
	n := newNode(t, dir)
	stop := n.serve()
	for _, c := range []struct {
		from, about, want int
	}{{11, 1, 200}, {12, 2, 200}, {11, 2, 404}, {12, 1, 404}, {1, 1, 404}, {13, 1, 404}, {1, 3, 200}} {
		for _, rest := range []string{"", "/task", "/stats", "/task/stats", "/taskWithTags"} {
			if status, _, text := n.ask(c.from, "GET", n.url(c.about, "/v4/", rest), ""); status != c.want {
				t.Errorf("127.0.0.%d asks for task %d%s: %d %s, want %d", c.from, c.about, rest, status, text, c.want)
			}
		}
	}
	host := n.url(3, "/v4/", "/task")
	dot := strings.LastIndex(host, ".")
	for what, url := range map[string]string{
		"without its code":       strings.TrimSuffix(host[:dot], ".") + "/task",
		"with another code":      host[:dot+1] + strings.Repeat("0", 32) + "/task",
		"by its plain ID":        n.server.door.url() + "/v4/" + fmt.Sprintf("%032x-0000000001", 3) + "/task",
		"of awsvpc, at the door": n.server.door.url() + "/v4/" + fmt.Sprintf("%032x-0000000001", 1) + "/task",
	} {
		if status, _, text := n.ask(1, "GET", url, ""); status != 404 {
			t.Errorf("a task in the host's network %s: %d %s", what, status, text)
		}
	}
	stop()
	// The next process has the same URLs for those who run on.
	n = newNode(t, dir)
	defer n.serve()()
	if status, _, text := n.ask(1, "GET", host, ""); status != 200 {
		t.Errorf("asked the next process: %d %s", status, text)
	}
	if info, err := os.Stat(dir + "/metadata.json"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key is kept in %v, %v", info, err)
	}
}

func TestStats(t *testing.T) {
	n := newNode(t, t.TempDir())
	defer n.serve()()
	id := fmt.Sprintf("%032x-0000000001", 1)
	n.stats[id] = runtime.Stats{Read: started, PID: os.Getpid(), CPU: 1e9, Memory: 4096, MemoryLimit: 1 << 20, PIDs: 3, IO: []runtime.IO{{Major: 8, Op: "Read", Bytes: 10, Ops: 2}}}
	status, doc, text := n.ask(11, "GET", n.url(1, "/v4/", "/stats"), "")
	if status != 200 || doc["id"] != id || doc["name"] != "/app" || doc["network_rate_stats"] != nil {
		t.Fatalf("first: %d %s", status, text)
	}
	if !strings.Contains(text, `"total_usage":1000000000`) || !strings.Contains(text, `"system_cpu_usage":`) || !strings.Contains(text, `"limit":1048576`) || !strings.Contains(text, `"op":"Read","value":10`) {
		t.Errorf("first: %s", text)
	}
	n.stats[id] = runtime.Stats{Read: started.Add(2 * time.Second), PID: os.Getpid(), CPU: 2e9}
	_, doc, text = n.ask(11, "GET", n.url(1, "/v4/", "/stats"), "")
	if doc["preread"] != "2026-03-01T11:00:00Z" || doc["network_rate_stats"] == nil || !strings.Contains(text, `"precpu_stats":{"cpu_usage":{"total_usage":1000000000`) {
		t.Errorf("second: %s", text)
	}
	if _, doc, text = n.ask(11, "GET", n.url(1, "/v3/", "/task/stats"), ""); len(doc) != 2 || doc[fmt.Sprintf("%032x-0000000002", 1)] != nil || strings.Contains(text, "rate_stats") {
		t.Errorf("of the task: %s", text)
	}
}

func TestParseNetworks(t *testing.T) {
	got, err := parseNetworks("Inter-|   Receive  |  Transmit\n face |bytes packets\n    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n")
	if want := (networkStats{1, 2, 3, 4, 9, 10, 11, 12}); err != nil || len(got) != 1 || got["eth0"] != want {
		t.Errorf("read %v, %v", got, err)
	}
	if _, err := parseNetworks("eth0: x"); err == nil {
		t.Error("took nonsense")
	}
}

func TestProtection(t *testing.T) {
	n := newNode(t, t.TempDir())
	defer n.serve()()
	url := n.url(1, "/api/", "/task-protection/v1/state")
	for _, c := range []struct {
		method, body string
		status       int
		says         string
	}{
		{"GET", "", 200, `"Reason":"TASK_NOT_VALID"`},
		{"PUT", `{"ProtectionEnabled":true,"ExpiresInMinutes":60}`, 200, `"Reason":"TASK_NOT_VALID"`},
		{"PUT", `{`, 400, "InvalidParameterException"},
		{"PUT", `{}`, 400, "does not contain 'ProtectionEnabled' field"},
		{"PUT", `{"ProtectionEnabled":true,"ExpiresInMinutes":2881}`, 400, "between 1 and 2880"},
	} {
		if status, _, text := n.ask(11, c.method, url, c.body); status != c.status || !strings.Contains(text, c.says) {
			t.Errorf("%s %s: %d %s", c.method, c.body, status, text)
		}
	}
	n.tasks[fmt.Sprintf("%032x", 1)].Task.Service = "web"
	for _, c := range []struct{ method, body, says string }{
		{"GET", "", `"ProtectionEnabled":false}`},
		{"PUT", `{"ProtectionEnabled":true,"ExpiresInMinutes":60}`, `"ProtectionEnabled":true,"ExpirationDate":"20`},
		{"GET", "", `"ProtectionEnabled":true,"ExpirationDate":"20`},
		{"PUT", `{"ProtectionEnabled":false}`, `"ProtectionEnabled":false}`},
	} {
		if status, _, text := n.ask(11, c.method, url, c.body); status != 200 || !strings.Contains(text, `{"protection":{"TaskArn":"arn:aws:ecs:`) || !strings.Contains(text, c.says) {
			t.Errorf("%s %s: %d %s", c.method, c.body, status, text)
		}
	}
	if status, _, text := n.ask(12, "GET", url, ""); status != 404 {
		t.Errorf("another task: %d %s", status, text)
	}
	n.unreachable = true
	if status, _, text := n.ask(11, "GET", url, ""); status != 504 || !strings.Contains(text, `"Code":"RequestCanceled"`) {
		t.Errorf("without an answer: %d %s", status, text)
	}
	n.tasks[fmt.Sprintf("%032x", 1)].Definition.TaskRoleArn = nil
	if status, _, text := n.ask(11, "GET", url, ""); status != 403 || !strings.Contains(text, "AccessDeniedException") {
		t.Errorf("without a role: %d %s", status, text)
	}
}

func TestLimits(t *testing.T) {
	var l limits
	now := started
	asked := 0
	for l.take("a", now) {
		asked++
	}
	if asked != burst {
		t.Errorf("%d at once, want %d", asked, burst)
	}
	if !l.take("b", now) {
		t.Error("one task takes another's allowance")
	}
	now = now.Add(time.Second)
	for asked = 0; l.take("a", now); asked++ {
	}
	if asked != perSecond {
		t.Errorf("%d a second later, want %d", asked, perSecond)
	}
	for i := range 5000 {
		l.take(fmt.Sprint(i), now.Add(time.Duration(i)*time.Second))
	}
	if len(l.tasks) > 1100 {
		t.Errorf("%d tasks are remembered", len(l.tasks))
	}
}
