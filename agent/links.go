package agent

import (
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/agent/runtime"
)

// linked returns what adds to a bridge container's hosts file the names that are
// known once the task's containers have addresses: its own, and those that its
// links name.
func (t *task) linked(i int, s *runtime.Spec) (finish func() error, err error) {
	at := slices.IndexFunc(s.Mounts, func(m runtime.Mount) bool { return m.Target == "/etc/hosts" })
	if t.mode() != types.NetworkModeBridge || at < 0 {
		return func() error { return nil }, nil
	}
	base, err := os.ReadFile(s.Mounts[at].Source)
	if err != nil {
		return nil, err
	}
	path, hostname := s.Mounts[at].Source, s.Hostname
	return func() error { return writeReadable(path, append(base, t.names(i, hostname)...)) }, nil
}

// writeReadable writes a file that every user of a container may read, whatever
// Berth's umask is.
func writeReadable(path string, text []byte) error {
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return err
	}
	return os.Chmod(path, 0o644)
}

// names are the lines of a hosts file for a container's own address and for its
// links, which are "container" or "container:alias" (ECS API Reference,
// ContainerDefinition.links).
func (t *task) names(i int, hostname string) string {
	var out strings.Builder
	line := func(container int, names ...string) {
		if a := t.p.Containers[container].Address; a.IsValid() && len(names) > 0 {
			out.WriteString(a.String() + " " + strings.Join(names, " ") + "\n")
		}
	}
	if hostname != "" {
		line(i, hostname)
	}
	name := t.plan.containers[i].name
	for _, d := range t.as.Definition.V.ContainerDefinitions {
		if aws.ToString(d.Name) != name {
			continue
		}
		for _, link := range d.Links {
			other, alias, _ := strings.Cut(link, ":")
			to := slices.IndexFunc(t.plan.containers, func(c *container) bool { return c.name == other })
			switch {
			case to < 0: // the API refuses it
			case alias == "" || alias == other:
				line(to, other)
			default:
				line(to, alias, other)
			}
		}
	}
	return out.String()
}
