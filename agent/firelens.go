package agent

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/state"
)

// FireLens: one container of the task, the router, gets what those print that
// log with awsfirelens. It listens on a socket in a directory of the task's and
// on port 24224, and is configured by a file made of the options of all
// (Amazon ECS Developer Guide, "Send Amazon ECS logs to an AWS service or AWS
// Partner"; for the file's form, the documentation of Fluent Bit and Fluentd).

func (f folder) firelens(name string) string { return filepath.Join(string(f), "firelens", name) }

// Where the files are in the router.
const (
	routerSockets = "/var/run"
	fluentBitConf = "/fluent-bit/etc/fluent-bit.conf"
	fluentdConf   = "/fluentd/etc/fluent.conf"
)

// router is what a task's FireLens container is told.
type router struct {
	kind     types.FirelensConfigurationType
	metadata bool   // add cluster, task and definition to each record
	include  string // a file of the image with more configuration
	outputs  []output
	at       int    // its container's index
	bind     string // the address that it listens on for those that speak its protocol
}

// output is a container that logs to the router.
type output struct {
	container string
	options   map[string]string
}

// route finds the router and points at it the containers that log to it. They
// start after it, and so stop before it.
func (p *plan) route(def *types.TaskDefinition, dir folder) error {
	at := slices.IndexFunc(def.ContainerDefinitions, func(d types.ContainerDefinition) bool { return d.FirelensConfiguration != nil })
	for i, d := range def.ContainerDefinitions {
		c := p.containers[i]
		if !logsToRouter(c) {
			continue
		}
		if at < 0 {
			return fmt.Errorf("container %s: logConfiguration: awsfirelens needs a container with a firelensConfiguration", c.name)
		}
		if !slices.ContainsFunc(c.dependsOn, func(d dependency) bool { return d.on == at }) {
			c.dependsOn = append(c.dependsOn, dependency{at, types.ContainerConditionStart})
		}
		if p.router == nil {
			p.router = newRouter(def.ContainerDefinitions[at].FirelensConfiguration)
			p.router.at, p.router.bind = at, "127.0.0.1"
			if p.task.NetworkMode == types.NetworkModeBridge { // where each container has a loopback of its own
				p.router.bind = "0.0.0.0"
			}
			p.containers[at].routes = true
		}
		p.router.outputs = append(p.router.outputs, output{c.name, d.LogConfiguration.Options})
		c.logs.Other.Options = map[string]string{
			"fluentd-address": "unix://" + dir.firelens("sockets/fluent.sock"), "fluentd-async": "true", "fluentd-sub-second-precision": "true",
			"tag": c.name + "-firelens-" + p.task.ID,
		}
	}
	return nil
}

func newRouter(f *types.FirelensConfiguration) *router {
	r := &router{kind: f.Type, metadata: f.Options["enable-ecs-log-metadata"] != "false"}
	if f.Options["config-file-type"] == "file" {
		r.include = f.Options["config-file-value"]
	}
	return r
}

// prepareRouter writes the router's configuration and makes its socket's directory.
func (p *plan) prepareRouter(dir folder) error {
	if p.router == nil {
		return nil
	}
	if err := os.MkdirAll(dir.firelens("sockets"), 0o755); err != nil {
		return err
	}
	// The router may run as any user, and makes its socket there.
	if err := os.Chmod(dir.firelens("sockets"), 0o777); err != nil {
		return err
	}
	if err := os.WriteFile(dir.firelens("config"), []byte(p.router.config(p.task)), 0o644); err != nil {
		return err
	}
	return os.Chmod(dir.firelens("config"), 0o644)
}

// routerMounts are the files of the router.
func (p *plan) routerMounts(dir folder) []runtime.Mount {
	conf := fluentBitConf
	if p.router.kind == types.FirelensConfigurationTypeFluentd {
		conf = fluentdConf
	}
	return []runtime.Mount{
		{Source: dir.firelens("sockets"), Target: routerSockets},
		{Source: dir.firelens("config"), Target: conf, ReadOnly: true},
	}
}

// config is the configuration file.
func (r *router) config(t *state.Task) string {
	records := [][2]string{{"ecs_cluster", t.Cluster}, {"ecs_task_arn", t.ARN()}, {"ecs_task_definition", fmt.Sprintf("%s:%d", t.Family, t.Revision)}}
	if !r.metadata {
		records = nil
	}
	if r.kind == types.FirelensConfigurationTypeFluentd {
		return r.fluentd(records)
	}
	return r.fluentBit(records)
}

func (r *router) fluentBit(records [][2]string) string {
	var b strings.Builder
	section := func(name string, lines ...[2]string) {
		fmt.Fprintf(&b, "[%s]\n", name)
		for _, l := range lines {
			fmt.Fprintf(&b, "    %s %s\n", l[0], oneLine(l[1]))
		}
		b.WriteByte('\n')
	}
	section("INPUT", [2]string{"Name", "forward"}, [2]string{"unix_path", routerSockets + "/fluent.sock"})
	section("INPUT", [2]string{"Name", "forward"}, [2]string{"Listen", r.bind}, [2]string{"Port", fluentPort})
	if len(records) > 0 {
		lines := [][2]string{{"Name", "record_modifier"}, {"Match", "*"}}
		for _, kv := range records {
			lines = append(lines, [2]string{"Record", kv[0] + " " + kv[1]})
		}
		section("FILTER", lines...)
	}
	for _, o := range r.outputs {
		match := [2]string{"Match", o.container + "-firelens*"}
		if p := o.options["include-pattern"]; p != "" {
			section("FILTER", [2]string{"Name", "grep"}, match, [2]string{"Regex", "log " + p})
		}
		if p := o.options["exclude-pattern"]; p != "" {
			section("FILTER", [2]string{"Name", "grep"}, match, [2]string{"Exclude", "log " + p})
		}
	}
	if r.include != "" {
		fmt.Fprintf(&b, "@INCLUDE %s\n\n", oneLine(r.include))
	}
	for _, o := range r.outputs {
		if o.options["Name"] == "" {
			continue // the included file has the output
		}
		lines := [][2]string{{"Name", o.options["Name"]}, {"Match", o.container + "-firelens*"}}
		for _, k := range outputOptions(o.options, "Name") {
			lines = append(lines, [2]string{k, o.options[k]})
		}
		section("OUTPUT", lines...)
	}
	return b.String()
}

func (r *router) fluentd(records [][2]string) string {
	var b strings.Builder
	b.WriteString("<source>\n    @type unix\n    path " + routerSockets + "/fluent.sock\n</source>\n\n")
	b.WriteString("<source>\n    @type forward\n    bind " + r.bind + "\n    port " + fluentPort + "\n</source>\n\n")
	if len(records) > 0 {
		b.WriteString("<filter **>\n    @type record_transformer\n    <record>\n")
		for _, kv := range records {
			fmt.Fprintf(&b, "        %s %s\n", kv[0], oneLine(kv[1]))
		}
		b.WriteString("    </record>\n</filter>\n\n")
	}
	for _, o := range r.outputs {
		for _, f := range [][2]string{{"include-pattern", "regexp"}, {"exclude-pattern", "exclude"}} {
			if p := o.options[f[0]]; p != "" {
				fmt.Fprintf(&b, "<filter %s-firelens**>\n    @type grep\n    <%s>\n        key log\n        pattern %s\n    </%s>\n</filter>\n\n", o.container, f[1], oneLine(p), f[1])
			}
		}
	}
	if r.include != "" {
		fmt.Fprintf(&b, "@include %s\n\n", oneLine(r.include))
	}
	for _, o := range r.outputs {
		if o.options["@type"] == "" {
			continue
		}
		fmt.Fprintf(&b, "<match %s-firelens**>\n    @type %s\n", o.container, oneLine(o.options["@type"]))
		for _, k := range outputOptions(o.options, "@type") {
			fmt.Fprintf(&b, "    %s %s\n", oneLine(k), oneLine(o.options[k]))
		}
		b.WriteString("</match>\n\n")
	}
	return b.String()
}

// outputOptions are the names of an output's own options, in order.
func outputOptions(options map[string]string, name string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(options)), func(k string) bool {
		return k == name || k == "include-pattern" || k == "exclude-pattern" || k == "log-driver-buffer-limit"
	})
}

// oneLine keeps a value from beginning lines of its own in the file.
func oneLine(s string) string { return strings.NewReplacer("\n", " ", "\r", " ").Replace(s) }

func logsToRouter(c *container) bool {
	return c.logs != nil && c.logs.Other != nil && c.logs.Other.Name == types.LogDriverAwsfirelens
}

// fluentPort is where routers listen for those that speak their protocol themselves.
const fluentPort = "24224"

// fluentEnv tells a container where the router listens. In a bridge that is known
// once the router has an address: see toRouter.
func (p *plan) fluentEnv(c *container) [][2]string {
	if !logsToRouter(c) {
		return nil
	}
	return [][2]string{{"FLUENT_HOST", "127.0.0.1"}, {"FLUENT_PORT", fluentPort}}
}

// toRouter tells a bridge container the router's address, unless its definition
// says otherwise. The router has started then, so it has one.
func (t *task) toRouter(i int, s *runtime.Spec) {
	c := t.plan.containers[i]
	if t.mode() != types.NetworkModeBridge || !logsToRouter(c) {
		return
	}
	if slices.ContainsFunc(c.environment, func(kv [2]string) bool { return kv[0] == "FLUENT_HOST" }) {
		return
	}
	s.Env = slices.DeleteFunc(slices.Clone(s.Env), func(kv string) bool { return strings.HasPrefix(kv, "FLUENT_HOST=") })
	if a := t.p.Containers[t.plan.router.at].Address; a.IsValid() {
		s.Env = append(s.Env, "FLUENT_HOST="+a.String())
	}
}
