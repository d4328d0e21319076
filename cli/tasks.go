package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"

	"github.com/berth/berth/client"
)

// api are the clients that the commands use: those of any AWS program.
type api struct {
	cfg  aws.Config
	ecs  *ecs.Client
	logs *cloudwatchlogs.Client
}

func (g *Globals) api() (*api, error) {
	cfg, err := client.Config(g.Context, g.DataDir)
	if err != nil {
		return nil, err
	}
	return &api{cfg: cfg, ecs: ecs.NewFromConfig(cfg), logs: cloudwatchlogs.NewFromConfig(cfg)}, nil
}

// plain is an error without the SDK's account of the request: what AWS's error
// says is meant for people.
func plain(err error) error {
	var said smithy.APIError
	if errors.As(err, &said) {
		return fmt.Errorf("%s: %s", said.ErrorCode(), said.ErrorMessage())
	}
	return err
}

// clusters are the names of one cluster, or of all if name is empty.
func (a *api) clusters(ctx context.Context, name string) ([]string, error) {
	if name != "" {
		return []string{name}, nil
	}
	var names []string
	for p := ecs.NewListClustersPaginator(a.ecs, &ecs.ListClustersInput{}); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		if err != nil {
			return nil, plain(err)
		}
		for _, arn := range page.ClusterArns {
			names = append(names, last(arn))
		}
	}
	slices.Sort(names)
	return names, nil
}

// tasks lists the tasks of a cluster, newest first: those that are to run and,
// with stopped, the others too.
func (a *api) tasks(ctx context.Context, cluster string, stopped bool) ([]types.Task, error) {
	wanted := []types.DesiredStatus{types.DesiredStatusRunning}
	if stopped {
		wanted = append(wanted, types.DesiredStatusStopped)
	}
	var all []types.Task
	for _, desired := range wanted {
		for p := ecs.NewListTasksPaginator(a.ecs, &ecs.ListTasksInput{Cluster: &cluster, DesiredStatus: desired}); p.HasMorePages(); {
			page, err := p.NextPage(ctx)
			if err != nil {
				return nil, plain(err)
			}
			if len(page.TaskArns) == 0 {
				continue
			}
			out, err := a.ecs.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: &cluster, Tasks: page.TaskArns})
			if err != nil {
				return nil, plain(err)
			}
			all = append(all, out.Tasks...)
		}
	}
	slices.SortFunc(all, func(a, b types.Task) int { return b.CreatedAt.Compare(*a.CreatedAt) })
	return all, nil
}

// task finds a task by its ARN, its ID or the beginning of that, in all clusters.
func (a *api) task(ctx context.Context, ref string) (types.Task, error) {
	if strings.HasPrefix(ref, "arn:") {
		parts := strings.Split(ref, "/")
		if len(parts) != 3 {
			return types.Task{}, fmt.Errorf("%s: a task's ARN ends in task/CLUSTER/ID", ref)
		}
		return a.describe(ctx, parts[1], ref)
	}
	names, err := a.clusters(ctx, "")
	if err != nil {
		return types.Task{}, err
	}
	var found []types.Task
	for _, cluster := range names {
		all, err := a.tasks(ctx, cluster, true)
		if err != nil {
			return types.Task{}, err
		}
		for _, t := range all {
			if strings.HasPrefix(last(*t.TaskArn), ref) {
				found = append(found, t)
			}
		}
	}
	switch len(found) {
	case 0:
		return types.Task{}, fmt.Errorf("no task has an ID that begins with %q: 'berth ps -a' lists those that there are (stopped ones go after an hour)", ref)
	case 1:
		return found[0], nil
	}
	return types.Task{}, fmt.Errorf("%d tasks have IDs that begin with %q: say more of it", len(found), ref)
}

func (a *api) describe(ctx context.Context, cluster, ref string) (types.Task, error) {
	out, err := a.ecs.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: &cluster, Tasks: []string{ref}})
	if err != nil {
		return types.Task{}, plain(err)
	}
	if len(out.Tasks) == 0 {
		return types.Task{}, fmt.Errorf("there is no task %s: stopped ones go after an hour", ref)
	}
	return out.Tasks[0], nil
}

// attached is a detail of a task's network interface, or "".
func attached(t types.Task, detail string) string {
	for _, a := range t.Attachments {
		for _, d := range a.Details {
			if aws.ToString(d.Name) == detail {
				return aws.ToString(d.Value)
			}
		}
	}
	return ""
}

// last is what follows the last slash of an ARN.
func last(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }
