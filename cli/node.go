package cli

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/instance"
)

// Node makes this host a container instance of a cluster, for tasks of launch
// type EC2, or takes it out again.
type Node struct {
	Cluster      string   `default:"default" help:"The cluster (${default}); it is made if need be." placeholder:"NAME"`
	Attribute    []string `short:"a" sep:"none" help:"Give the instance an attribute." placeholder:"K=V"`
	Provider     string   `name:"capacity-provider" help:"The capacity provider that the instance belongs to." placeholder:"NAME"`
	ReservedPort []string `name:"reserved-port" help:"A TCP port of the host that no task may have." placeholder:"PORT"`
	Remove       bool     `help:"Take the host out of the cluster. Its tasks must have ended, unless --force is given."`
	Force        bool     `help:"With --remove, stop the tasks that are left."`
}

// Run registers the host. Done again, it replaces what was registered before.
func (c Node) Run(g *Globals) error {
	a, err := g.api()
	if err != nil {
		return err
	}
	self, err := instance.ReadIdentity(g.DataDir)
	if err != nil {
		return err
	}
	node := self.Node
	if c.Remove {
		return c.remove(g, a, node)
	}
	in := &ecs.RegisterContainerInstanceInput{
		Cluster:    &c.Cluster,
		Attributes: []types.Attribute{{Name: aws.String("berth.node"), Value: &node}},
	}
	// The agent is this program.
	if build, ok := debug.ReadBuildInfo(); ok {
		in.VersionInfo = &types.VersionInfo{AgentVersion: &build.Main.Version}
	}
	if c.Provider != "" {
		in.Attributes = append(in.Attributes, types.Attribute{Name: aws.String("berth.capacity-provider"), Value: &c.Provider})
	}
	for _, kv := range c.Attribute {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || k == "" {
			return fmt.Errorf("-a %s: must be NAME=VALUE", kv)
		}
		in.Attributes = append(in.Attributes, types.Attribute{Name: &k, Value: &v})
	}
	if len(c.ReservedPort) > 0 {
		in.TotalResources = []types.Resource{{Name: aws.String("PORTS"), Type: aws.String("STRINGSET"), StringSetValue: c.ReservedPort}}
	}
	if _, err := a.ecs.CreateCluster(g.Context, &ecs.CreateClusterInput{ClusterName: &c.Cluster}); err != nil {
		return plain(err)
	}
	out, err := a.ecs.RegisterContainerInstance(g.Context, in)
	if err != nil {
		return plain(err)
	}
	fmt.Fprintln(g.Out, *out.ContainerInstance.ContainerInstanceArn)
	return nil
}

func (c Node) remove(g *Globals, a *api, node string) error {
	i, err := a.instanceOf(g.Context, c.Cluster, node)
	if err != nil {
		return err
	}
	if i == nil {
		return nil // it is out already
	}
	_, err = a.ecs.DeregisterContainerInstance(g.Context, &ecs.DeregisterContainerInstanceInput{
		Cluster: &c.Cluster, ContainerInstance: i.ContainerInstanceArn, Force: &c.Force,
	})
	return plain(err)
}

// instanceOf is the container instance that a node is in a cluster, or nil.
func (a *api) instanceOf(ctx context.Context, cluster, node string) (*types.ContainerInstance, error) {
	for p := ecs.NewListContainerInstancesPaginator(a.ecs, &ecs.ListContainerInstancesInput{Cluster: &cluster}); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		if err != nil {
			return nil, plain(err)
		}
		if len(page.ContainerInstanceArns) == 0 {
			continue
		}
		out, err := a.ecs.DescribeContainerInstances(ctx, &ecs.DescribeContainerInstancesInput{Cluster: &cluster, ContainerInstances: page.ContainerInstanceArns})
		if err != nil {
			return nil, plain(err)
		}
		for _, i := range out.ContainerInstances {
			if aws.ToString(i.Ec2InstanceId) == "i-"+node[:17] {
				return &i, nil
			}
		}
	}
	return nil, nil
}
