package agent

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/berth/berth/agent/runtime"
)

func TestResolvOfContainers(t *testing.T) {
	const base = "nameserver 192.0.2.1\nsearch host.example\noptions ndots:2\n"
	for _, c := range []struct {
		servers, search []string
		want            string
	}{
		{want: base},
		{servers: []string{"127.0.0.1", "2001:db8::1"}, want: "nameserver 127.0.0.1\nnameserver 2001:db8::1\nsearch host.example\noptions ndots:2\n"},
		{search: []string{"a.example", "b.example"}, want: "search a.example b.example\nnameserver 192.0.2.1\noptions ndots:2\n"},
		{search: []string{"."}, want: "nameserver 192.0.2.1\noptions ndots:2\n"},
	} {
		n := names{servers: c.servers, search: c.search}
		if got := n.resolv(base); got != c.want {
			t.Errorf("%v %v: %q, want %q", c.servers, c.search, got, c.want)
		}
	}
	if got := (&names{search: []string{"x"}}).resolv("nameserver 192.0.2.1"); got != "search x\nnameserver 192.0.2.1\n" {
		t.Errorf("a file that ends in its line: %q", got)
	}
}

// Outside awsvpc each container has names of its own.
func TestNamesOfContainers(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for mode, fallback := range map[types.NetworkMode]string{
		types.NetworkModeBridge: "", types.NetworkModeNone: "", types.NetworkModeHost: host,
	} {
		as := assignment("0123456789abcdef0123456789abcdef", define("a", func(d *types.ContainerDefinition) {
			d.Hostname = aws.String("web")
			d.ExtraHosts = []types.HostEntry{{IpAddress: aws.String("192.0.2.7"), Hostname: aws.String("db")}}
			d.DnsServers = []string{"192.0.2.53"}
		}), define("b"), define("c"))
		as.Task.NetworkMode, as.Task.ContainerInstance = mode, "i"
		as.Interface.PrivateDNS, as.Interface.DNS = "", nil
		dir := folder(t.TempDir())
		p, err := newPlan(as, dir)
		if err == nil {
			err = p.prepare(dir)
		}
		if err != nil {
			t.Fatal(err)
		}
		var seen []string
		for _, c := range p.containers {
			s, err := p.spec(c, runtime.Image{Config: v1.ImageConfig{Cmd: []string{"x"}}}, dir, "")
			if err != nil {
				t.Fatal(err)
			}
			files := map[string]string{}
			for _, m := range s.Mounts {
				b, err := os.ReadFile(m.Source)
				if err != nil {
					t.Fatal(err)
				}
				files[m.Target] = string(b)
			}
			want := "web"
			if c.name != "a" {
				want = fallback
			}
			if want == "" && len(s.Hostname) != 12 || want != "" && s.Hostname != want {
				t.Errorf("%s: container %s is %q", mode, c.name, s.Hostname)
			}
			if files["/etc/hostname"] != s.Hostname+"\n" || !slices.Contains(s.Env, "HOSTNAME="+s.Hostname) {
				t.Errorf("%s: container %s has %q and %q", mode, c.name, files["/etc/hostname"], s.Env)
			}
			own := c.name == "a"
			if strings.Contains(files["/etc/hosts"], "192.0.2.7 db\n") != own || strings.HasPrefix(files["/etc/resolv.conf"], "nameserver 192.0.2.53\n") != own {
				t.Errorf("%s: container %s has %q", mode, c.name, files)
			}
			seen = append(seen, s.Hostname)
		}
		if mode != types.NetworkModeHost && seen[1] == seen[2] {
			t.Errorf("%s: two containers have the name %s", mode, seen[1])
		}
	}
}
