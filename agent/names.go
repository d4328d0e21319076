package agent

import (
	"encoding/hex"
	"hash/fnv"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// names are what a container's definition says of the names around it (ECS API
// Reference, ContainerDefinition). With awsvpc it can't: the task says it all.
type names struct {
	hostname string
	// extra are lines for /etc/hosts: an address and a name.
	extra [][2]string
	// servers and search take the place of the host's in /etc/resolv.conf.
	servers, search []string
	// offline: there is no network but a loopback (disableNetworking).
	offline bool
}

func newNames(d *types.ContainerDefinition) names {
	n := names{
		hostname: aws.ToString(d.Hostname), servers: d.DnsServers, search: d.DnsSearchDomains,
		offline: aws.ToBool(d.DisableNetworking),
	}
	for _, h := range d.ExtraHosts {
		n.extra = append(n.extra, [2]string{aws.ToString(h.IpAddress), aws.ToString(h.Hostname)})
	}
	return n
}

func (n *names) hosts() string {
	var out strings.Builder
	for _, e := range n.extra {
		out.WriteString(e[0] + " " + e[1] + "\n")
	}
	return out.String()
}

// resolv is a resolv.conf with the container's own servers and domains in it.
// The search domain "." is none, as with Docker.
func (n *names) resolv(base string) string {
	var out strings.Builder
	for _, s := range n.servers {
		out.WriteString("nameserver " + s + "\n")
	}
	if len(n.search) > 0 && !slices.Equal(n.search, []string{"."}) {
		out.WriteString("search " + strings.Join(n.search, " ") + "\n")
	}
	for line := range strings.Lines(base) {
		var key string
		if f := strings.Fields(line); len(f) > 0 {
			key = f[0]
		}
		if key == "nameserver" && len(n.servers) > 0 || (key == "search" || key == "domain") && len(n.search) > 0 {
			continue
		}
		out.WriteString(strings.TrimRight(line, "\n") + "\n")
	}
	return out.String()
}

// mode is the task's network mode.
func (p *plan) mode() types.NetworkMode {
	if p.task.NetworkMode == "" {
		return types.NetworkModeAwsvpc
	}
	return p.task.NetworkMode
}

// hostnameOf is a container's host name: with awsvpc its task's.
func (p *plan) hostnameOf(c *container) string {
	if p.mode() == types.NetworkModeAwsvpc {
		return p.hostname
	}
	return c.names.hostname
}

// defaultHostname is a container's host name where its definition has none: the
// host's own in network mode host, else twelve digits of its own, as with Docker.
func (p *plan) defaultHostname(c *container) string {
	if p.mode() == types.NetworkModeHost {
		if name, err := os.Hostname(); err == nil {
			return name
		}
	}
	h := fnv.New64a()
	h.Write([]byte(c.id))
	return hex.EncodeToString(h.Sum(nil))[:12]
}
