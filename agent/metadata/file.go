package metadata

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/berth/berth/internal/arn"
)

// FileName is the container metadata file's, in a directory of the container's.
const FileName = "ecs-container-metadata.json"

type fileDocument struct {
	Cluster                string
	ContainerInstanceARN   string `json:",omitempty"`
	TaskARN                string
	TaskDefinitionFamily   string
	TaskDefinitionRevision string
	ContainerID            string `json:",omitempty"`
	ContainerName          string
	DockerContainerName    string            `json:",omitempty"`
	ImageID                string            `json:",omitempty"`
	ImageName              string            `json:",omitempty"`
	PortMappings           []filePort        `json:",omitempty"`
	Networks               []networkDocument `json:",omitempty"`
	MetadataFileStatus     string            `json:",omitempty"`
	AvailabilityZone       string            `json:",omitempty"`
	HostPrivateIPv4Address string            `json:",omitempty"`
}

type filePort struct {
	ContainerPort int32
	HostPort      int32
	BindIP        string `json:"BindIp"`
	Protocol      string
}

// File is the container metadata file of a container of a container instance
// (Amazon ECS Developer Guide, "Amazon ECS container metadata file"): what is
// known before its start, and when it has started, all, with the status READY.
// host is the instance's own address, if it has one.
func (t *Task) File(c *Container, host netip.Addr) ([]byte, error) {
	d := fileDocument{
		Cluster: t.Task.Cluster, TaskARN: t.Task.ARN(), TaskDefinitionFamily: t.Task.Family, TaskDefinitionRevision: fmt.Sprint(t.Task.Revision),
		ContainerName: c.Name, AvailabilityZone: t.Task.Zone,
	}
	if host.IsValid() {
		d.HostPrivateIPv4Address = host.String()
	}
	if t.Task.ContainerInstance != "" {
		d.ContainerInstanceARN = arn.ECS(t.Task.Region, t.Task.Account, "container-instance/"+t.Task.Cluster+"/"+t.Task.ContainerInstance)
	}
	if !c.StartedAt.IsZero() {
		full := t.container(c, true)
		d.ContainerID, d.DockerContainerName, d.ImageID, d.ImageName = c.ID, full.DockerName, c.Digest, c.Image
		for _, p := range full.Ports {
			d.PortMappings = append(d.PortMappings, filePort{p.ContainerPort, p.HostPort, p.HostIP, p.Protocol})
		}
		d.Networks, d.MetadataFileStatus = []networkDocument{t.network(c, false)}, "READY"
	}
	return json.MarshalIndent(d, "", "\t")
}
