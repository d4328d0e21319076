package agent

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/state"
)

// specOf is the first container of an assignment as the runtime gets it.
func specOf(t *testing.T, as *state.Assignment, img v1.ImageConfig) runtime.Spec {
	t.Helper()
	p, err := newPlan(as, "/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range p.volumes {
		p.sources = append(p.sources, "/volumes/"+v.name)
	}
	s, err := p.spec(p.containers[0], runtime.Image{Ref: "app", Config: img}, "/dir", "/netns/x")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestArgs(t *testing.T) {
	image := v1.ImageConfig{Entrypoint: []string{"/entry"}, Cmd: []string{"cmd", "arg"}}
	for name, tt := range map[string]struct {
		entry, command, override []string
		image                    v1.ImageConfig
		want                     string
	}{
		"the image's":                           {image: image, want: "/entry cmd arg"},
		"a command replaces the image's":        {command: []string{"other"}, image: image, want: "/entry other"},
		"an override replaces the command":      {command: []string{"other"}, override: []string{"third"}, image: image, want: "/entry third"},
		"an entry point clears the command":     {entry: []string{"/new"}, image: image, want: "/new"},
		"both":                                  {entry: []string{"/new", "a"}, command: []string{"b"}, image: image, want: "/new a b"},
		"an entry point and an override":        {entry: []string{"/new"}, override: []string{"c"}, image: image, want: "/new c"},
		"no entry point anywhere":               {image: v1.ImageConfig{Cmd: []string{"cmd"}}, want: "cmd"},
		"an override of nothing is no override": {command: []string{"other"}, override: []string{}, image: image, want: "/entry other"},
	} {
		t.Run(name, func(t *testing.T) {
			as := assignment("x", define("a", func(d *types.ContainerDefinition) { d.EntryPoint, d.Command = tt.entry, tt.command }))
			if tt.override != nil {
				as.Task.Overrides.V.ContainerOverrides = []types.ContainerOverride{{Name: aws.String("a"), Command: tt.override}}
			}
			if got := strings.Join(specOf(t, as, tt.image).Args, " "); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	kv := func(kvs ...string) (out []types.KeyValuePair) {
		for _, s := range kvs {
			k, v, _ := strings.Cut(s, "=")
			out = append(out, types.KeyValuePair{Name: &k, Value: &v})
		}
		return out
	}
	as := assignment("x", define("a", func(d *types.ContainerDefinition) { d.Environment = kv("A=definition", "B=definition", "E=") }))
	as.Task.Overrides.V.ContainerOverrides = []types.ContainerOverride{
		{Name: aws.String("b"), Environment: kv("A=another's")},
		{Name: aws.String("a"), Environment: kv("B=override", "C=override")},
	}
	got := specOf(t, as, v1.ImageConfig{Env: []string{"PATH=/bin", "A=image", "D=image=x", "AWS_DEFAULT_REGION=moon-1"}}).Env
	want := []string{"PATH=/bin", "A=definition", "D=image=x", "AWS_DEFAULT_REGION=moon-1", "B=override", "E=", "C=override",
		"HOSTNAME=ip-172-31-5-6.ec2.internal", "AWS_EXECUTION_ENV=AWS_ECS_FARGATE", "AWS_REGION=us-east-1"}
	if !slices.Equal(got, want) {
		t.Errorf("environment\n%q, want\n%q", got, want)
	}
	if env := specOf(t, as, v1.ImageConfig{}).Env; !slices.Contains(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin") {
		t.Errorf("no PATH in %q", env)
	}
}

func TestSpec(t *testing.T) {
	id := strings.Repeat("7", 32)
	as := assignment(id, define("a", func(d *types.ContainerDefinition) {
		d.WorkingDirectory, d.User, d.ReadonlyRootFilesystem = aws.String("/w"), aws.String("12:34"), aws.Bool(true)
		d.Cpu, d.Memory, d.MemoryReservation = 128, aws.Int32(256), aws.Int32(64)
		d.MountPoints = []types.MountPoint{{SourceVolume: aws.String("v2"), ContainerPath: aws.String("/data"), ReadOnly: aws.Bool(true)}}
		d.LinuxParameters = &types.LinuxParameters{InitProcessEnabled: aws.Bool(true), Capabilities: &types.KernelCapabilities{Add: []string{"SYS_PTRACE"}, Drop: []string{"ALL"}}}
		d.DockerLabels = map[string]string{"l": "1"}
		d.Ulimits = []types.Ulimit{{Name: types.UlimitNameNofile, SoftLimit: 10, HardLimit: 20}}
	}))
	as.Definition.V.Volumes = []types.Volume{{Name: aws.String("v1")}, {Name: aws.String("v2")}}
	img := v1.ImageConfig{WorkingDir: "/image", User: "image"}
	got := specOf(t, as, img)
	want := runtime.Spec{
		ID: got.ID, Sandbox: id, Image: "app", Args: []string{"/a"}, Env: got.Env, WorkingDir: "/w", User: "12:34",
		Hostname: "ip-172-31-5-6.ec2.internal", NetNS: "/netns/x", ReadonlyRootfs: true, Init: true,
		Mounts: []runtime.Mount{
			{Source: "/dir/etc/hosts", Target: "/etc/hosts"}, {Source: "/dir/etc/hostname", Target: "/etc/hostname"}, {Source: "/dir/etc/resolv.conf", Target: "/etc/resolv.conf"},
			{Source: "/volumes/v2", Target: "/data", ReadOnly: true},
		},
		CapAdd: []string{"SYS_PTRACE"}, CapDrop: []string{"ALL"}, CPUShares: 128, Memory: 256 << 20, MemoryReserved: 64 << 20,
		Ulimits: []runtime.Ulimit{{Name: "nofile", Soft: 10, Hard: 20}}, AllowNewPrivs: true,
		Labels: map[string]string{
			"l": "1", "com.amazonaws.ecs.cluster": "arn:aws:ecs:us-east-1:123456789012:cluster/default", "com.amazonaws.ecs.container-name": "a",
			"com.amazonaws.ecs.task-arn":               "arn:aws:ecs:us-east-1:123456789012:task/default/" + id,
			"com.amazonaws.ecs.task-definition-family": "f", "com.amazonaws.ecs.task-definition-version": "1",
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n%+v, want\n%+v", got, want)
	}
	if len(got.ID) != 32+1+10 || !strings.HasPrefix(got.ID, id+"-") {
		t.Errorf("ID %s", got.ID)
	}

	as.Task.Overrides.V.ContainerOverrides = []types.ContainerOverride{{Name: aws.String("a"), Cpu: aws.Int32(0), Memory: aws.Int32(512), MemoryReservation: aws.Int32(128)}}
	d := &as.Definition.V.ContainerDefinitions[0]
	d.WorkingDirectory, d.User, d.Ulimits = nil, nil, nil
	got = specOf(t, as, img)
	if got.CPUShares != 2 || got.Memory != 512<<20 || got.MemoryReserved != 128<<20 || got.WorkingDir != "/image" || got.User != "image" {
		t.Errorf("with overrides %+v", got)
	}
	if want := []runtime.Ulimit{{Name: "nofile", Soft: 32768, Hard: 65536}}; !slices.Equal(ulimits(nil, true), want) {
		t.Errorf("on container instances: ulimits %+v, want %+v", ulimits(nil, true), want)
	}
	if want := []runtime.Ulimit{{Name: "nofile", Soft: 65535, Hard: 65535}}; !slices.Equal(got.Ulimits, want) {
		t.Errorf("ulimits %v", got.Ulimits)
	}
	if got := specOf(t, as, v1.ImageConfig{}); got.WorkingDir != "/" || got.User != "" {
		t.Errorf("with an empty image %+v", got)
	}
}

func TestPlan(t *testing.T) {
	as := assignment("x",
		define("a", optional, startTimeout(7), stopTimeout(3), checked(9, 8, 7, 6)),
		define("b", func(d *types.ContainerDefinition) {
			d.HealthCheck = &types.HealthCheck{Command: []string{"CMD-SHELL", "curl -f localhost || exit 1"}}
			d.LogConfiguration = &types.LogConfiguration{LogDriver: types.LogDriverAwslogs, Options: map[string]string{
				"awslogs-group": "g", "awslogs-region": "eu-west-1", "awslogs-stream-prefix": "p", "awslogs-create-group": "true"}}
		}))
	p, err := newPlan(as, "/task")
	if err != nil {
		t.Fatal(err)
	}
	a, b := p.containers[0], p.containers[1]
	if a.essential || a.startTimeout != 7*time.Second || a.stopTimeout != 3*time.Second || a.logs != nil {
		t.Errorf("a: %+v", a)
	}
	if want := (check{[]string{"/check"}, 9 * time.Second, 8 * time.Second, 6 * time.Second, 7}); !reflect.DeepEqual(*a.check, want) {
		t.Errorf("a's check %+v, want %+v", *a.check, want)
	}
	if !b.essential || b.startTimeout != 0 || b.stopTimeout != 30*time.Second {
		t.Errorf("b: %+v", b)
	}
	if want := (check{[]string{"/bin/sh", "-c", "curl -f localhost || exit 1"}, 30 * time.Second, 5 * time.Second, 0, 3}); !reflect.DeepEqual(*b.check, want) {
		t.Errorf("b's check %+v, want %+v", *b.check, want)
	}
	if want := (state.LogTarget{Scope: state.Scope{Account: "123456789012", Region: "eu-west-1"}, Group: "g", Stream: "p/b/x", CreateGroup: true}); *b.logs != want {
		t.Errorf("b's output goes to %+v, want %+v", *b.logs, want)
	}
	if a.id == b.id {
		t.Error("two containers with one ID")
	}
}

func TestEtc(t *testing.T) {
	if got, want := hosts(netip.MustParseAddr("172.31.5.6"), "ip-172-31-5-6.ec2.internal"), "127.0.0.1 localhost\n172.31.5.6 ip-172-31-5-6.ec2.internal\n"; got != want {
		t.Errorf("hosts %q", got)
	}
	for name, tt := range map[string]struct{ own, upstream, want string }{
		"the host's":            {"# x\nnameserver 10.0.0.2\nsearch a b\noptions ndots:2\n", "nameserver 9.9.9.9\n", "nameserver 10.0.0.2\nsearch a b\noptions ndots:2\n"},
		"less loopback":         {"nameserver 127.0.0.1\nnameserver ::1\nnameserver 10.0.0.2\n", "", "nameserver 10.0.0.2\n"},
		"systemd-resolved":      {"nameserver 127.0.0.53\nsearch a\n", "nameserver 10.0.0.3\nsearch b\n", "nameserver 10.0.0.3\nsearch b\n"},
		"none":                  {"nameserver 127.0.0.1\nsearch a\n", "", "search a\n"},
		"no file":               {"", "", ""},
		"junk":                  {"nameserver\nnameserver x\nlookup file\nnameserver 10.0.0.2", "", "nameserver 10.0.0.2\n"},
		"IPv6 can't be reached": {"nameserver 2001:db8::1\n", "nameserver 10.0.0.3\n", "nameserver 10.0.0.3\n"},
	} {
		if got := resolvers(tt.own, tt.upstream); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
