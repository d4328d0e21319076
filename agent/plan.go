package agent

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/state"
)

// plan is what a task's assignment comes to: its definition with the overrides
// in it. It is made once, from what never changes of an assignment.
type plan struct {
	task       *state.Task
	hostname   string
	address    netip.Addr
	dns        []netip.Addr // none: the host's resolvers
	containers []*container // as in the definition
	volumes    []volume     // as in the definition
	sources    []string     // the volumes' directories, once they are provided
	router     *router      // nil: no container logs with awsfirelens
	filesRead  bool         // of environment files
	shared     shared       // namespaces of several containers
}

// container is one container of a plan.
type container struct {
	name string
	// id is its name on the host and its runtimeId: the task's ID and ten
	// digits, as on Fargate.
	id           string
	image        string
	pinned       string // digest that the image must have; empty: any
	essential    bool
	dependsOn    []dependency
	startTimeout time.Duration // 0: none
	stopTimeout  time.Duration
	check        *check         // nil: no health check
	restart      *restartPolicy // nil: it isn't started again
	logs         *state.LogTarget
	routes       bool // it is the task's router

	command, entryPoint []string // empty: the image's
	environment         [][2]string
	envFiles            []string    // ARNs
	fileEnv             [][2]string // what those files set
	workingDirectory    string      // empty: the image's
	user                string      // empty: the image's
	readonlyRootfs      bool
	mounts              []mount
	borrows             []borrowed
	init                bool
	capAdd, capDrop     []string
	cpu                 int32 // CPU units; 0: none given
	memory, reservation int32 // MiB; 0: none given
	ulimits             []runtime.Ulimit
	shape               runtime.Spec // what is the same in each
	labels              map[string]string
	names               names
}

// dependency is one entry of dependsOn, by the index of the other container.
type dependency struct {
	on        int
	condition types.ContainerCondition
}

// volume is the index of a volume of the definition, or -1.
func (p *plan) volume(name string) int {
	return slices.IndexFunc(p.volumes, func(v volume) bool { return v.name == name })
}

// mount is one entry of mountPoints.
type mount struct {
	volume, path string
	readOnly     bool
}

// borrowed is one entry of volumesFrom, by the index of the other container.
type borrowed struct {
	from     int
	readOnly bool
}

// defaultStopTimeout is how long until SIGKILL (ECS API Reference,
// ContainerDefinition.stopTimeout).
const defaultStopTimeout = 30 * time.Second

// Open files where a definition has no limit: Fargate's (ECS API Reference,
// ContainerDefinition.ulimits), and on container instances what Docker gives on
// Amazon Linux 2023, of which AWS makes its ECS-optimized image
// (--default-ulimit nofile=32768:65536).
var (
	fargateOpenFiles  = runtime.Ulimit{Name: string(types.UlimitNameNofile), Soft: 65535, Hard: 65535}
	instanceOpenFiles = runtime.Ulimit{Name: string(types.UlimitNameNofile), Soft: 32768, Hard: 65536}
)

// newPlan makes the plan of an assignment. Errors name the field that can't be
// followed; the API refuses such definitions, so they only come from elsewhere.
// With an error the plan's containers have names and IDs at least.
func newPlan(as *state.Assignment, dir folder) (*plan, error) {
	def := &as.Definition.V
	p := &plan{task: &as.Task, shared: newShared(&as.Task, def), hostname: as.Interface.PrivateDNS, address: as.Interface.Address, dns: as.Interface.DNS}
	var broken error
	for _, v := range def.Volumes {
		made, err := newVolume(v, as.Task.Volumes)
		p.volumes, broken = append(p.volumes, made), errors.Join(broken, err)
	}
	index := map[string]int{}
	for i, d := range def.ContainerDefinitions {
		index[aws.ToString(d.Name)] = i
	}
	digits := map[uint32]bool{}
	for _, d := range def.ContainerDefinitions {
		c := newContainer(as, &d)
		h := fnv.New32a()
		h.Write([]byte(c.name))
		n := h.Sum32()
		for digits[n] {
			n++
		}
		digits[n] = true
		if at := slices.IndexFunc(as.Task.Containers, func(s state.Container) bool { return s.Name == c.name }); at >= 0 {
			c.pinned = as.Task.Containers[at].Pinned
		}
		c.id = fmt.Sprintf("%s-%010d", as.Task.ID, n)
		c.names.hostname = first(c.names.hostname, p.defaultHostname(c))
		p.containers = append(p.containers, c)
	}
	p.filesRead = !slices.ContainsFunc(p.containers, func(c *container) bool { return len(c.envFiles) > 0 })
	if len(p.containers) == 0 {
		return p, fmt.Errorf("task definition %s:%d has no containers", as.Task.Family, as.Task.Revision)
	}
	for i, d := range def.ContainerDefinitions {
		c := p.containers[i]
		var err error
		if c.shape, err = shape(&d); err != nil {
			return p, fmt.Errorf("container %s: %w", c.name, err)
		}
		if c.logs, err = state.FromLogConfiguration(d.LogConfiguration, state.LogSource{
			Account: as.Task.Account, Cluster: as.Task.ClusterARN(), Task: as.Task.ID, Definition: fmt.Sprintf("%s:%d", as.Task.Family, as.Task.Revision),
			Container: c.name, ContainerID: c.id, Image: c.image, Labels: d.DockerLabels, Env: environmentMap(c.environment), EC2: as.Task.ContainerInstance != "", Router: true,
		}); err != nil {
			return p, fmt.Errorf("container %s: logConfiguration: %w", c.name, err)
		}
		for _, dep := range d.DependsOn {
			on, ok := index[aws.ToString(dep.ContainerName)]
			if !ok {
				return p, fmt.Errorf("container %s: dependsOn names %q, which the task doesn't have", c.name, aws.ToString(dep.ContainerName))
			}
			c.dependsOn = append(c.dependsOn, dependency{on, dep.Condition})
		}
		for _, m := range c.mounts {
			if p.volume(m.volume) < 0 {
				return p, fmt.Errorf("container %s: mountPoints names %q, which the task doesn't have", c.name, m.volume)
			}
		}
	}
	if err := errors.Join(broken, p.borrow(def)); err != nil {
		return p, err
	}
	return p, p.route(def, dir)
}

// newContainer merges a container's definition and its override.
func newContainer(as *state.Assignment, d *types.ContainerDefinition) *container {
	c := &container{
		name: aws.ToString(d.Name), image: aws.ToString(d.Image),
		essential:    d.Essential == nil || *d.Essential,
		startTimeout: time.Duration(aws.ToInt32(d.StartTimeout)) * time.Second,
		stopTimeout:  defaultStopTimeout,
		restart:      newRestartPolicy(d.RestartPolicy),
		check:        newCheck(d.HealthCheck),
		command:      d.Command, entryPoint: d.EntryPoint,
		workingDirectory: aws.ToString(d.WorkingDirectory), user: aws.ToString(d.User),
		readonlyRootfs: aws.ToBool(d.ReadonlyRootFilesystem),
		cpu:            d.Cpu, memory: aws.ToInt32(d.Memory), reservation: aws.ToInt32(d.MemoryReservation),
	}
	if d.StopTimeout != nil {
		c.stopTimeout = time.Duration(*d.StopTimeout) * time.Second
	}
	for _, m := range d.MountPoints {
		c.mounts = append(c.mounts, mount{aws.ToString(m.SourceVolume), aws.ToString(m.ContainerPath), aws.ToBool(m.ReadOnly)})
	}
	if l := d.LinuxParameters; l != nil {
		c.init = aws.ToBool(l.InitProcessEnabled)
		if l.Capabilities != nil {
			c.capAdd, c.capDrop = l.Capabilities.Add, l.Capabilities.Drop
		}
	}
	environment := d.Environment
	for _, o := range as.Task.Overrides.V.ContainerOverrides {
		if aws.ToString(o.Name) != c.name {
			continue
		}
		if len(o.Command) > 0 {
			c.command = o.Command
		}
		environment = append(slices.Clone(environment), o.Environment...)
		c.cpu = override(o.Cpu, c.cpu)
		c.memory = override(o.Memory, c.memory)
		c.reservation = override(o.MemoryReservation, c.reservation)
	}
	for _, e := range environment {
		c.environment = setEnv(c.environment, aws.ToString(e.Name), aws.ToString(e.Value))
	}
	c.envFiles = envFiles(as, d)
	c.ulimits = ulimits(d.Ulimits, as.Task.ContainerInstance != "")
	c.labels = labels(as, d)
	c.names = newNames(d)
	return c
}

func override(o *int32, otherwise int32) int32 {
	if o != nil {
		return *o
	}
	return otherwise
}

func environmentMap(env [][2]string) map[string]string {
	m := make(map[string]string, len(env))
	for _, e := range env {
		m[e[0]] = e[1]
	}
	return m
}

func setEnv(env [][2]string, name, value string) [][2]string {
	for i := range env {
		if env[i][0] == name {
			env[i][1] = value
			return env
		}
	}
	return append(env, [2]string{name, value})
}

// ulimits are the definition's, and the default for open files where it has none.
func ulimits(defined []types.Ulimit, onInstance bool) []runtime.Ulimit {
	var out []runtime.Ulimit
	files := false
	for _, u := range defined {
		out = append(out, runtime.Ulimit{Name: string(u.Name), Soft: int64(u.SoftLimit), Hard: int64(u.HardLimit)})
		files = files || u.Name == types.UlimitNameNofile
	}
	switch {
	case files:
	case onInstance:
		out = append(out, instanceOpenFiles)
	default:
		out = append(out, fargateOpenFiles)
	}
	return out
}

// labels are dockerLabels and those that the ECS agent adds.
func labels(as *state.Assignment, d *types.ContainerDefinition) map[string]string {
	out := map[string]string{}
	for k, v := range d.DockerLabels {
		out[k] = v
	}
	const prefix = "com.amazonaws.ecs."
	out[prefix+"cluster"] = as.Task.ClusterARN()
	out[prefix+"container-name"] = aws.ToString(d.Name)
	out[prefix+"task-arn"] = as.Task.ARN()
	out[prefix+"task-definition-family"] = as.Task.Family
	out[prefix+"task-definition-version"] = fmt.Sprint(as.Task.Revision)
	if as.Task.Runtime != "" {
		out["berth.runtime"] = as.Task.Runtime
	}
	return out
}
