package event

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/awsjson"
	"github.com/berth/berth/state"
)

// Pair is a name and a value.
type Pair struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
}

// Attachment is a task's network interface.
type Attachment struct {
	ID      string `json:"id"`
	Type    string `json:"type"` // eni
	Status  string `json:"status"`
	Details []Pair `json:"details"`
}

// ContainerDetail is a container of a task.
type ContainerDetail struct {
	ContainerARN      string          `json:"containerArn"`
	TaskARN           string          `json:"taskArn"`
	Name              string          `json:"name"`
	Image             string          `json:"image"`
	ImageDigest       string          `json:"imageDigest,omitempty"`
	RuntimeID         string          `json:"runtimeId,omitempty"`
	LastStatus        string          `json:"lastStatus"`
	HealthStatus      string          `json:"healthStatus,omitempty"`
	ExitCode          *int32          `json:"exitCode,omitempty"`
	Reason            string          `json:"reason,omitempty"`
	CPU               string          `json:"cpu"`
	Memory            string          `json:"memory,omitempty"`
	MemoryReservation string          `json:"memoryReservation,omitempty"`
	NetworkBindings   []Binding       `json:"networkBindings,omitempty"`
	NetworkInterfaces []InterfacePart `json:"networkInterfaces"`
}

// Binding is a port of the host that is a container's.
type Binding struct {
	BindIP        string `json:"bindIP"`
	ContainerPort int32  `json:"containerPort"`
	HostPort      int32  `json:"hostPort"`
	Protocol      string `json:"protocol"`
}

// InterfacePart is a network interface as a container has it.
type InterfacePart struct {
	AttachmentID string `json:"attachmentId"`
	Address      string `json:"privateIpv4Address"`
}

// TaskDetail is the detail of an ECS Task State Change.
type TaskDetail struct {
	Attachments          []Attachment       `json:"attachments"`
	Attributes           []Pair             `json:"attributes"`
	AvailabilityZone     string             `json:"availabilityZone,omitempty"`
	CapacityProviderName string             `json:"capacityProviderName,omitempty"`
	ClusterARN           string             `json:"clusterArn"`
	Connectivity         string             `json:"connectivity,omitempty"`
	ConnectivityAt       string             `json:"connectivityAt,omitempty"`
	ContainerInstanceARN string             `json:"containerInstanceArn,omitempty"`
	Containers           []ContainerDetail  `json:"containers"`
	CPU                  string             `json:"cpu"`
	CreatedAt            string             `json:"createdAt"`
	DesiredStatus        string             `json:"desiredStatus"`
	EnableExecuteCommand bool               `json:"enableExecuteCommand"`
	EphemeralStorage     *map[string]int32  `json:"ephemeralStorage,omitempty"`
	ExecutionStoppedAt   string             `json:"executionStoppedAt,omitempty"`
	Group                string             `json:"group"`
	HealthStatus         string             `json:"healthStatus,omitempty"`
	LastStatus           string             `json:"lastStatus"`
	LaunchType           types.LaunchType   `json:"launchType"`
	Memory               string             `json:"memory"`
	Overrides            json.RawMessage    `json:"overrides"`
	PlatformVersion      string             `json:"platformVersion,omitempty"`
	PullStartedAt        string             `json:"pullStartedAt,omitempty"`
	PullStoppedAt        string             `json:"pullStoppedAt,omitempty"`
	StartedAt            string             `json:"startedAt,omitempty"`
	StartedBy            string             `json:"startedBy,omitempty"`
	StoppingAt           string             `json:"stoppingAt,omitempty"`
	StoppedAt            string             `json:"stoppedAt,omitempty"`
	StopCode             types.TaskStopCode `json:"stopCode,omitempty"`
	StoppedReason        string             `json:"stoppedReason,omitempty"`
	TaskARN              string             `json:"taskArn"`
	TaskDefinitionARN    string             `json:"taskDefinitionArn"`
	UpdatedAt            string             `json:"updatedAt"`
	Version              int64              `json:"version"`
}

func taskDetail(t *state.Task) TaskDetail {
	cpu, memory := t.Reserves()
	d := TaskDetail{
		Attachments: []Attachment{}, Attributes: []Pair{{"ecs.cpu-architecture", strings.ToLower(t.Arch)}}, AvailabilityZone: t.Zone, CapacityProviderName: t.CapacityProvider,
		ClusterARN: t.ClusterARN(), ConnectivityAt: stamp(t.ConnectivityAt), CPU: strconv.Itoa(int(cpu)), CreatedAt: stamp(t.CreatedAt), DesiredStatus: t.Desired.String(),
		EnableExecuteCommand: t.ExecuteCommand, ExecutionStoppedAt: stamp(t.ExecutionStoppedAt), Group: t.Group, HealthStatus: string(t.Health), LastStatus: t.Last.String(),
		LaunchType: t.LaunchType, Memory: strconv.Itoa(int(memory)), Overrides: json.RawMessage(`{"containerOverrides":[]}`), PlatformVersion: t.PlatformVersion,
		PullStartedAt: stamp(t.PullStartedAt), PullStoppedAt: stamp(t.PullStoppedAt), StartedAt: stamp(t.StartedAt), StartedBy: t.StartedBy, StoppingAt: stamp(t.StoppingAt),
		StoppedAt: stamp(t.StoppedAt), StopCode: t.StopCode, StoppedReason: t.StoppedReason, TaskARN: t.ARN(), TaskDefinitionARN: t.DefinitionARN(), Version: t.Version,
	}
	for _, at := range []string{d.CreatedAt, d.ConnectivityAt, d.PullStartedAt, d.PullStoppedAt, d.StartedAt, d.StoppingAt, d.ExecutionStoppedAt, d.StoppedAt} {
		d.UpdatedAt = max(d.UpdatedAt, at) // all are of one form
	}
	if b, err := awsjson.Marshal(&t.Overrides.V); err == nil && len(t.Overrides.V.ContainerOverrides) > 0 {
		d.Overrides = b
	}
	if d.ConnectivityAt != "" {
		d.Connectivity = "CONNECTED"
	}
	if t.ContainerInstance != "" {
		d.ContainerInstanceARN = state.InstanceARN(t.Scope, t.Cluster, t.ContainerInstance)
	}
	if t.EphemeralGiB > 0 {
		d.EphemeralStorage = &map[string]int32{"sizeInGiB": t.EphemeralGiB}
	}
	if t.ENI != "" {
		d.Attachments = append(d.Attachments, attachment(t))
	}
	for i := range t.Containers {
		d.Containers = append(d.Containers, container(t, &t.Containers[i]))
	}
	return d
}

func attachment(t *state.Task) Attachment {
	a := Attachment{ID: t.AttachmentID, Type: "eni", Status: "PRECREATED"}
	switch {
	case t.Last == state.Stopped:
		a.Status = "DELETED"
	case !t.ConnectivityAt.IsZero():
		a.Status = "ATTACHED"
	}
	a.Details = []Pair{
		{"subnetId", t.Interface.Subnet}, {"networkInterfaceId", t.Interface.ENI}, {"macAddress", t.Interface.MAC},
		{"privateDnsName", t.Interface.PrivateDNS}, {"privateIPv4Address", t.Interface.Address.String()},
	}
	return a
}

func container(t *state.Task, c *state.Container) ContainerDetail {
	d := ContainerDetail{
		ContainerARN: t.ContainerARN(c), TaskARN: t.ARN(), Name: c.Name, Image: c.Image, ImageDigest: c.ImageDigest, RuntimeID: c.RuntimeID, LastStatus: c.Last.String(),
		HealthStatus: string(c.Health), ExitCode: c.ExitCode, Reason: c.Reason, CPU: c.CPU, Memory: c.Memory, MemoryReservation: c.MemoryReservation, NetworkInterfaces: []InterfacePart{},
	}
	if t.ENI != "" {
		d.NetworkInterfaces = append(d.NetworkInterfaces, InterfacePart{t.AttachmentID, t.Interface.Address.String()})
	}
	for _, p := range c.Ports {
		d.NetworkBindings = append(d.NetworkBindings, Binding{p.BindIP, p.ContainerPort, p.HostPort, string(p.Protocol)})
	}
	return d
}

// InstanceDetail is the detail of an ECS Container Instance State Change.
type InstanceDetail struct {
	AgentConnected       bool              `json:"agentConnected"`
	Attributes           []Pair            `json:"attributes"`
	ClusterARN           string            `json:"clusterArn"`
	ContainerInstanceARN string            `json:"containerInstanceArn"`
	EC2InstanceID        string            `json:"ec2InstanceId"`
	RegisteredResources  []Resource        `json:"registeredResources"`
	RegisteredAt         string            `json:"registeredAt"`
	Status               string            `json:"status"`
	Version              int64             `json:"version"`
	VersionInfo          map[string]string `json:"versionInfo"`
}

// Resource is a number of something, or a set.
type Resource struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"` // INTEGER, STRINGSET
	Integer  *int32   `json:"integerValue,omitempty"`
	Elements []string `json:"stringSetValue,omitempty"`
}

func instanceDetail(i *state.ContainerInstance) InstanceDetail {
	cluster := (&state.Cluster{Scope: i.Scope, Name: i.Cluster}).ARN()
	d := InstanceDetail{
		AgentConnected: i.Connected, Attributes: []Pair{}, ClusterARN: cluster, ContainerInstanceARN: i.ARN(), EC2InstanceID: i.EC2InstanceID, RegisteredAt: stamp(i.RegisteredAt),
		RegisteredResources: []Resource{
			{Name: "CPU", Type: "INTEGER", Integer: &i.CPU}, {Name: "MEMORY", Type: "INTEGER", Integer: &i.Memory},
			{Name: "PORTS", Type: "STRINGSET", Elements: numbers(i.TCPPorts)}, {Name: "PORTS_UDP", Type: "STRINGSET", Elements: numbers(i.UDPPorts)},
		},
		Status: string(i.Status), Version: i.Version,
		VersionInfo: map[string]string{"agentHash": aws.ToString(i.Agent.AgentHash), "agentVersion": aws.ToString(i.Agent.AgentVersion), "dockerVersion": aws.ToString(i.Agent.DockerVersion)},
	}
	for _, a := range i.Attributes {
		d.Attributes = append(d.Attributes, Pair{aws.ToString(a.Name), aws.ToString(a.Value)})
	}
	return d
}

func numbers(ports []int32) []string {
	var out []string
	for _, p := range ports {
		out = append(out, strconv.Itoa(int(p)))
	}
	return out
}
