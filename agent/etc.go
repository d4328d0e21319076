package agent

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// etcFiles are the files under /etc that containers are given. With awsvpc a
// task's containers share them, as they share its interface.
var etcFiles = [...]string{"hosts", "hostname", "resolv.conf"}

// Where the host's own names and resolvers are found. The last is
// systemd-resolved's list of the servers behind its stub on 127.0.0.53.
const (
	resolvConf        = "/etc/resolv.conf"
	hostsFile         = "/etc/hosts"
	resolvedUpstreams = "/run/systemd/resolve/resolv.conf"
)

// prepare makes the task's files.
func (p *plan) prepare(dir folder) error {
	if err := p.prepareRouter(dir); err != nil {
		return fmt.Errorf("configure the log router: %w", err)
	}
	own, err := os.ReadFile(resolvConf)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	upstream, err := os.ReadFile(resolvedUpstreams)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	resolv := resolvers(string(own), string(upstream))
	switch {
	case p.mode() == types.NetworkModeHost:
		resolv = string(own) // what listens on the loopback is there for its containers too
	case len(p.dns) > 0:
		resolv = ""
		for _, a := range p.dns {
			resolv += "nameserver " + a.String() + "\n"
		}
	}
	base, err := p.hosts()
	if err != nil {
		return err
	}
	if p.mode() == types.NetworkModeAwsvpc {
		return writeEtc(dir.etc(""), base, p.hostname, resolv)
	}
	for _, c := range p.containers {
		if err := writeEtc(p.etc(c, dir, ""), base+c.names.hosts(), c.names.hostname, c.names.resolv(resolv)); err != nil {
			return err
		}
	}
	return nil
}

// etc is the path of one of a container's files under /etc.
func (p *plan) etc(c *container, dir folder, name string) string {
	if p.mode() == types.NetworkModeAwsvpc {
		return dir.etc(name)
	}
	return filepath.Join(dir.etc(c.name), name)
}

func writeEtc(dir, hosts, hostname, resolv string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, text := range map[string]string{"hosts": hosts, "hostname": hostname + "\n", "resolv.conf": resolv} {
		if err := writeReadable(filepath.Join(dir, name), []byte(text)); err != nil {
			return err
		}
	}
	return nil
}

// hosts is the /etc/hosts that all containers of the task have.
func (p *plan) hosts() (string, error) {
	if p.mode() != types.NetworkModeHost {
		return hosts(p.address, p.hostname), nil
	}
	own, err := os.ReadFile(hostsFile)
	if err != nil && !os.IsNotExist(err) {
		return "", err
	}
	return string(own), nil
}

// hosts is a task's /etc/hosts.
func hosts(a netip.Addr, name string) string {
	text := "127.0.0.1 localhost\n"
	if a.IsValid() {
		text += a.String() + " " + name + "\n"
	}
	return text
}

// resolvers is a container's resolv.conf: the host's without the resolvers on
// the loopback, which a container can't reach. Where none is left it takes the
// servers that systemd-resolved asks, and where there are none either, no
// resolver at all: names from /etc/hosts still resolve.
func resolvers(own, upstream string) string {
	if text, ok := reachable(own); ok {
		return text
	}
	if text, ok := reachable(upstream); ok {
		return text
	}
	text, _ := reachable(own)
	return text
}

// reachable drops comments and loopback resolvers, and reports whether a resolver is left.
func reachable(conf string) (string, bool) {
	var out strings.Builder
	found := false
	for line := range strings.Lines(conf) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") || strings.HasPrefix(fields[0], ";") {
			continue
		}
		if fields[0] == "nameserver" {
			if len(fields) < 2 {
				continue
			}
			a, err := netip.ParseAddr(fields[1])
			// A task has no IPv6 yet.
			if err != nil || a.IsLoopback() || !a.Unmap().Is4() {
				continue
			}
			found = true
		}
		if slices.Contains([]string{"nameserver", "search", "options", "domain", "sortlist"}, fields[0]) {
			out.WriteString(strings.Join(fields, " ") + "\n")
		}
	}
	return out.String(), found
}
