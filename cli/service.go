package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Service are the commands for services.
type Service struct {
	Up       ServiceUp       `cmd:"" help:"Keep a number of tasks of an image running, or change that."`
	Ls       ServiceLs       `cmd:"" help:"List services."`
	Scale    ServiceScale    `cmd:"" help:"Change how many tasks there are."`
	Deploy   Deploy          `cmd:"" help:"Replace a service's tasks by new ones, with another image if asked to."`
	Rollback ServiceRollback `cmd:"" help:"Go back to what was deployed before."`
	Rm       ServiceRm       `cmd:"" help:"Stop a service's tasks and delete it."`
}

// serviceGroup is the log group of services of `berth service up`.
const serviceGroup = "/berth/service"

// theService names one service.
type theService struct {
	Name    string `arg:"" help:"The service's name or ARN."`
	Cluster string `default:"default" help:"Its cluster (${default})." placeholder:"NAME"`
}

// waiting is whether a command returns at once.
type waiting struct {
	Wait bool `help:"Show old and new tasks, and return when the change is done; with an error if it failed."`
	JSON bool `help:"Print JSON."`
}

// find describes the service.
func (s theService) find(ctx context.Context, a *api) (types.Service, error) {
	cluster := s.Cluster
	if parts := strings.Split(s.Name, "/"); strings.HasPrefix(s.Name, "arn:") && len(parts) == 3 {
		cluster = parts[1]
	}
	out, err := a.ecs.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: &cluster, Services: []string{s.Name}})
	if err != nil {
		return types.Service{}, plain(err)
	}
	if len(out.Services) == 0 || aws.ToString(out.Services[0].Status) == "INACTIVE" {
		return types.Service{}, fmt.Errorf("there is no service %s in cluster %s: 'berth service ls' lists those that there are", last(s.Name), cluster)
	}
	return out.Services[0], nil
}

// ServiceUp makes a service, or brings one to another image or count.
type ServiceUp struct {
	Image   string   `arg:"" help:"The image: one of 'berth image ls', or of a registry."`
	Command []string `arg:"" optional:"" passthrough:"" help:"The command instead of the image's: -- CMD ARG…"`
	Name    string   `help:"The service's name; by default the image's." placeholder:"NAME"`
	Count   int32    `short:"n" default:"1" help:"How many tasks (${default})." placeholder:"N"`
	Port    []string `short:"p" help:"Let the world in on this port of the tasks: PORT or PORT/udp." placeholder:"PORT"`
	Env     []string `short:"e" sep:"none" help:"Set an environment variable." placeholder:"K=V"`
	CPU     string   `default:"256" help:"CPU units of each task, 1024 a core (${default})." placeholder:"UNITS"`
	Memory  string   `default:"512" help:"Memory of each task in MiB (${default})." placeholder:"MIB"`
	Cluster string   `default:"default" help:"The cluster (${default}); it is made if need be." placeholder:"NAME"`
	waiting `embed:""`
}

// Run makes it.
func (c ServiceUp) Run(g *Globals) error {
	a, err := g.api()
	if err != nil {
		return err
	}
	ctx := g.Context
	ports, err := portMappings(c.Port)
	if err != nil {
		return err
	}
	env, err := environment(c.Env)
	if err != nil {
		return err
	}
	if c.Name == "" {
		c.Name = imageName(c.Image)
	}
	if _, err := a.ecs.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: &c.Cluster}); err != nil {
		return plain(err)
	}
	definition, err := program{
		family: c.Name, group: serviceGroup, image: c.Image, command: command(c.Command), env: env, ports: ports, cpu: c.CPU, memory: c.Memory,
	}.definition(ctx, a)
	if err != nil {
		return err
	}
	network, err := a.network(ctx, ports)
	if err != nil {
		return err
	}
	have, err := a.ecs.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: &c.Cluster, Services: []string{c.Name}})
	if err != nil {
		return plain(err)
	}
	var svc *types.Service
	if len(have.Services) == 1 && aws.ToString(have.Services[0].Status) == "ACTIVE" {
		out, err := a.ecs.UpdateService(ctx, &ecs.UpdateServiceInput{
			Cluster: &c.Cluster, Service: &c.Name, TaskDefinition: &definition, DesiredCount: &c.Count, NetworkConfiguration: network,
		})
		if err != nil {
			return plain(err)
		}
		svc = out.Service
	} else {
		out, err := a.ecs.CreateService(ctx, &ecs.CreateServiceInput{
			Cluster: &c.Cluster, ServiceName: &c.Name, TaskDefinition: &definition, DesiredCount: &c.Count, NetworkConfiguration: network,
			LaunchType: types.LaunchTypeFargate, EnableExecuteCommand: true, // for berth exec
			DeploymentConfiguration: &types.DeploymentConfiguration{DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{Enable: true, Rollback: true}},
		})
		if err != nil {
			return plain(err)
		}
		svc = out.Service
	}
	return c.end(g, a, svc)
}

// serviceRow is a service as ls and --json show it.
type serviceRow struct {
	Service    string `json:"service"`
	Cluster    string `json:"cluster"`
	Definition string `json:"definition"`
	Status     string `json:"status"`
	Desired    int32  `json:"desired"`
	Running    int32  `json:"running"`
	Pending    int32  `json:"pending"`
	Rollout    string `json:"rollout,omitempty"`
	Reason     string `json:"reason,omitempty"`
}

func rowOf(s types.Service) serviceRow {
	r := serviceRow{
		Service: aws.ToString(s.ServiceName), Cluster: last(aws.ToString(s.ClusterArn)), Definition: last(aws.ToString(s.TaskDefinition)), Status: aws.ToString(s.Status),
		Desired: s.DesiredCount, Running: s.RunningCount, Pending: s.PendingCount,
	}
	if d := primary(&s); d != nil {
		r.Rollout, r.Reason = string(d.RolloutState), aws.ToString(d.RolloutStateReason)
	}
	return r
}

func printJSON(g *Globals, v any) error {
	e := json.NewEncoder(g.Out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// ServiceLs lists services.
type ServiceLs struct {
	Cluster string `help:"Of this cluster only." placeholder:"NAME"`
	JSON    bool   `help:"Print JSON."`
}

// Run lists them.
func (c ServiceLs) Run(g *Globals) error {
	a, err := g.api()
	if err != nil {
		return err
	}
	names, err := a.clusters(g.Context, c.Cluster)
	if err != nil {
		return err
	}
	rows := []serviceRow{}
	for _, cluster := range names {
		for p := ecs.NewListServicesPaginator(a.ecs, &ecs.ListServicesInput{Cluster: &cluster}); p.HasMorePages(); {
			page, err := p.NextPage(g.Context)
			if err != nil {
				return plain(err)
			}
			if len(page.ServiceArns) == 0 {
				continue
			}
			out, err := a.ecs.DescribeServices(g.Context, &ecs.DescribeServicesInput{Cluster: &cluster, Services: page.ServiceArns})
			if err != nil {
				return plain(err)
			}
			for _, s := range out.Services {
				rows = append(rows, rowOf(s))
			}
		}
	}
	if c.JSON {
		return printJSON(g, rows)
	}
	w := tabwriter.NewWriter(g.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SERVICE\tCLUSTER\tDEFINITION\tDESIRED\tRUNNING\tPENDING\tROLLOUT")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%s\n", r.Service, r.Cluster, r.Definition, r.Desired, r.Running, r.Pending, dash(r.Rollout))
	}
	return w.Flush()
}

// ServiceScale changes how many tasks a service has.
type ServiceScale struct {
	theService `embed:""`
	Count      int32 `arg:"" help:"How many tasks there shall be."`
	waiting    `embed:""`
}

// Run changes it.
func (c ServiceScale) Run(g *Globals) error {
	a, err := g.api()
	if err != nil {
		return err
	}
	s, err := c.find(g.Context, a)
	if err != nil {
		return err
	}
	out, err := a.ecs.UpdateService(g.Context, &ecs.UpdateServiceInput{Cluster: s.ClusterArn, Service: s.ServiceArn, DesiredCount: &c.Count})
	if err != nil {
		return plain(err)
	}
	return c.end(g, a, out.Service)
}

// ServiceRm deletes a service.
type ServiceRm struct {
	theService `embed:""`
	Wait       bool `help:"Return when its tasks have stopped."`
}

// Run deletes it.
func (c ServiceRm) Run(g *Globals) error {
	a, err := g.api()
	if err != nil {
		return err
	}
	s, err := c.find(g.Context, a)
	if err != nil {
		return err
	}
	if _, err := a.ecs.DeleteService(g.Context, &ecs.DeleteServiceInput{Cluster: s.ClusterArn, Service: s.ServiceArn, Force: aws.Bool(true)}); err != nil {
		return plain(err)
	}
	for tick := time.NewTicker(50 * time.Millisecond); c.Wait; { // ECS has no call that waits
		out, err := a.ecs.DescribeServices(g.Context, &ecs.DescribeServicesInput{Cluster: s.ClusterArn, Services: []string{*s.ServiceArn}})
		if err != nil {
			return plain(err)
		}
		if len(out.Services) == 0 || aws.ToString(out.Services[0].Status) == "INACTIVE" {
			break
		}
		select {
		case <-tick.C:
		case <-g.Context.Done():
			return fmt.Errorf("service %s still has %d tasks, which are being stopped", *s.ServiceName, out.Services[0].RunningCount)
		}
	}
	fmt.Fprintln(g.Out, *s.ServiceName)
	return nil
}
