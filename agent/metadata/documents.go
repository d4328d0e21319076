package metadata

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"golang.org/x/sys/unix"

	"github.com/berth/berth/state"
)

// The documents have the names and forms of the Developer Guide's pages of
// versions 3 and 4. What is only in version 4 is left out of version 3.

type taskDocument struct {
	Cluster            string
	TaskARN            string
	Family             string
	Revision           string
	DesiredStatus      string
	KnownStatus        string
	Limits             *taskLimits `json:",omitempty"`
	PullStartedAt      *time.Time  `json:",omitempty"`
	PullStoppedAt      *time.Time  `json:",omitempty"`
	ExecutionStoppedAt *time.Time  `json:",omitempty"`
	AvailabilityZone   string      `json:",omitempty"`
	AvailabilityZoneID string      `json:",omitempty"`
	Group              string      `json:",omitempty"`
	LaunchType         string      `json:",omitempty"`
	Containers         []containerDocument
	VPCID              string          `json:",omitempty"`
	ServiceName        string          `json:",omitempty"`
	ClockDrift         *clockDrift     `json:",omitempty"`
	Ephemeral          *storageMetrics `json:"EphemeralStorageMetrics,omitempty"`
	FaultInjection     *bool           `json:"FaultInjectionEnabled,omitempty"`

	TaskTags              map[string]string `json:",omitempty"`
	ContainerInstanceTags map[string]string `json:",omitempty"`
	Errors                []documentError   `json:",omitempty"`
}

// documentError is why a field isn't there.
type documentError struct {
	ErrorField   string
	ErrorCode    string
	ErrorMessage string
	StatusCode   int
	ResourceARN  string
}

// storageMetrics are in MiB.
type storageMetrics struct {
	Utilized, Reserved int64
}

type taskLimits struct {
	CPU    float64 `json:",omitempty"` // vCPUs
	Memory int32   `json:",omitempty"` // MiB
}

type clockDrift struct {
	ClockErrorBound            float64 // milliseconds
	ReferenceTimestamp         time.Time
	ClockSynchronizationStatus string
}

type containerDocument struct {
	DockerID      string `json:"DockerId"`
	Name          string
	DockerName    string
	Image         string
	ImageID       string
	Ports         []portDocument    `json:",omitempty"`
	Labels        map[string]string `json:",omitempty"`
	DesiredStatus string
	KnownStatus   string
	ExitCode      *int32 `json:",omitempty"`
	RestartCount  *int32 `json:",omitempty"` // of one with a restart policy
	Limits        containerLimits
	CreatedAt     *time.Time `json:",omitempty"`
	StartedAt     *time.Time `json:",omitempty"`
	FinishedAt    *time.Time `json:",omitempty"`
	Type          string
	Health        *healthDocument   `json:",omitempty"`
	Networks      []networkDocument `json:",omitempty"`
	LogDriver     string            `json:",omitempty"`
	LogOptions    map[string]string `json:",omitempty"`
	ContainerARN  string            `json:",omitempty"`
	Snapshotter   string            `json:",omitempty"`
}

// leastCPU is what ECS gives a container that asks for no CPU units.
const leastCPU = 2

type containerLimits struct {
	CPU    int32 // CPU units
	Memory int32 `json:",omitempty"` // MiB
}

type portDocument struct {
	ContainerPort int32
	Protocol      string
	HostPort      int32  `json:",omitempty"`
	HostIP        string `json:"HostIp,omitempty"`
}

type healthDocument struct {
	Status      string     `json:"status"`
	StatusSince *time.Time `json:"statusSince,omitempty"`
	ExitCode    int32      `json:"exitCode,omitempty"`
	Output      string     `json:"output,omitempty"`
}

type networkDocument struct {
	NetworkMode              string
	IPv4Addresses            []string
	AttachmentIndex          *int     `json:",omitempty"`
	MACAddress               string   `json:",omitempty"`
	IPv4SubnetCIDRBlock      string   `json:",omitempty"`
	DomainNameServers        []string `json:",omitempty"`
	PrivateDNSName           string   `json:",omitempty"`
	SubnetGatewayIpv4Address string   `json:",omitempty"`
}

// taskDocument describes a task to its containers.
func (t *Task) document(v4 bool) taskDocument {
	d := taskDocument{
		Cluster: t.Task.Cluster, TaskARN: t.Task.ARN(), Family: t.Task.Family, Revision: fmt.Sprint(t.Task.Revision),
		DesiredStatus: t.Task.Desired.String(), KnownStatus: t.Known.String(),
		PullStartedAt: at(t.PullStartedAt), PullStoppedAt: at(t.PullStoppedAt), ExecutionStoppedAt: at(t.ExecutionStoppedAt),
		AvailabilityZone: t.Task.Zone, Containers: []containerDocument{},
	}
	if t.fargate() {
		d.Cluster = t.Task.ClusterARN()
	}
	if t.Task.CPU > 0 || t.Task.Memory > 0 {
		d.Limits = &taskLimits{CPU: float64(t.Task.CPU) / 1024, Memory: t.Task.Memory}
	}
	for i := range t.Containers {
		d.Containers = append(d.Containers, t.container(&t.Containers[i], v4))
	}
	if !v4 {
		return d
	}
	d.LaunchType, d.AvailabilityZoneID = string(t.Task.LaunchType), t.zoneID()
	if name, ok := strings.CutPrefix(t.Task.Group, "service:"); ok {
		d.ServiceName = name
	}
	fault := t.Definition != nil && aws.ToBool(t.Definition.EnableFaultInjection)
	d.FaultInjection = &fault
	if t.fargate() {
		d.ClockDrift, d.Group = readClock(), t.Task.Group
	} else {
		d.VPCID = t.Interface.VPC
	}
	return d
}

func (t *Task) fargate() bool {
	return t.Task.LaunchType == types.LaunchTypeFargate || t.Task.LaunchType == "" && t.Task.ContainerInstance == ""
}

// zoneID is that of its availability zone.
func (t *Task) zoneID() string {
	for _, z := range state.Zones(t.Task.Region) {
		if z.Name == t.Task.Zone {
			return z.ID
		}
	}
	return ""
}

// withTags is a task's document with the tags as they are now.
func (s *Server) withTags(ctx context.Context, a asked) taskDocument {
	d := a.task.document(a.v4)
	s.mu.Lock()
	from := s.records
	s.mu.Unlock()
	own, instance, err := from.Tags(ctx, &a.task.Task)
	if err != nil {
		s.log.Warn("ask for a task's tags", "task", a.task.Task.ID, "err", err)
		if a.v4 {
			d.Errors = []documentError{{"TaskTags", "ServerException", "The tags can't be asked for now.", http.StatusInternalServerError, a.task.Task.ARN()}}
		}
	}
	d.TaskTags, d.ContainerInstanceTags = tagMap(own), tagMap(instance)
	return d
}

func tagMap(tags []state.Tag) map[string]string {
	if len(tags) == 0 {
		return nil
	}
	m := make(map[string]string, len(tags))
	for _, tag := range tags {
		m[tag.Key] = tag.Value
	}
	return m
}

// container describes one container.
func (t *Task) container(c *Container, v4 bool) containerDocument {
	d := containerDocument{
		DockerID: c.ID, Name: c.Name, DockerName: c.Name, Image: c.Image, ImageID: c.Digest, Labels: c.Labels,
		DesiredStatus: c.Desired.String(), KnownStatus: c.Known, ExitCode: c.ExitCode, RestartCount: c.Restarts, Limits: containerLimits{max(c.CPU, leastCPU), c.Memory},
		CreatedAt: at(c.CreatedAt), StartedAt: at(c.StartedAt), FinishedAt: at(c.FinishedAt), Type: "NORMAL",
		Networks: []networkDocument{t.network(c, v4)},
	}
	if !t.fargate() { // the name that the ECS agent gives Docker
		d.DockerName = fmt.Sprintf("ecs-%s-%d-%s-%s", t.Task.Family, t.Task.Revision, c.Name, c.ID[max(0, len(c.ID)-10):])
	}
	for _, p := range c.Ports {
		for i := range max(p.Count, 1) {
			port := portDocument{ContainerPort: p.ContainerPort + i, Protocol: string(p.Protocol), HostPort: p.HostPort + i}
			if v4 {
				port.HostIP = p.BindIP
			}
			d.Ports = append(d.Ports, port)
		}
	}
	if c.checked(t.Definition) {
		d.Health = &healthDocument{string(c.Health), at(c.HealthAt), c.HealthExit, c.HealthOutput}
	}
	if v4 {
		d.LogDriver, d.LogOptions, d.ContainerARN, d.Snapshotter = c.LogDriver, c.LogOptions, c.ARN, ""
		if t.fargate() {
			d.Snapshotter = "overlayfs"
		}
	}
	return d
}

// checked reports whether the container has a health check.
func (c *Container) checked(def *types.TaskDefinition) bool {
	if def == nil {
		return false
	}
	for _, d := range def.ContainerDefinitions {
		if aws.ToString(d.Name) == c.Name {
			return d.HealthCheck != nil
		}
	}
	return false
}

func (t *Task) network(c *Container, v4 bool) networkDocument {
	d := networkDocument{NetworkMode: string(t.Mode), IPv4Addresses: []string{}}
	if c.Address.IsValid() {
		d.IPv4Addresses = append(d.IPv4Addresses, c.Address.String())
	}
	if t.Mode != types.NetworkModeAwsvpc {
		return d
	}
	i := &t.Interface
	d.IPv4Addresses = append(d.IPv4Addresses, i.Address.String())
	if !v4 {
		return d
	}
	index := 0
	d.AttachmentIndex, d.MACAddress, d.IPv4SubnetCIDRBlock, d.PrivateDNSName = &index, i.MAC, i.SubnetPrefix.String(), i.PrivateDNS
	if i.Gateway.IsValid() {
		d.SubnetGatewayIpv4Address = netip.PrefixFrom(i.Gateway, i.SubnetPrefix.Bits()).String()
	}
	for _, a := range i.DNS {
		d.DomainNameServers = append(d.DomainNameServers, a.String())
	}
	return d
}

// at is a time as the documents have it: UTC, and nothing for none.
func at(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// readClock asks the kernel how far off its clock may be.
func readClock() *clockDrift {
	var x unix.Timex
	if _, err := unix.Adjtimex(&x); err != nil {
		return nil
	}
	d := &clockDrift{ClockErrorBound: float64(x.Maxerror) / 1000, ReferenceTimestamp: time.Now().UTC(), ClockSynchronizationStatus: "SYNCHRONIZED"}
	if x.Status&unix.STA_UNSYNC != 0 {
		d.ClockSynchronizationStatus = "NOT_SYNCHRONIZED"
	}
	return d
}
