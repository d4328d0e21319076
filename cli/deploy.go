package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Deploy replaces a service's tasks.
type Deploy struct {
	theService `embed:""`
	Image      string `help:"The image that the new tasks run, by default what they run now, pulled again." placeholder:"IMAGE"`
	Container  string `help:"The container that runs it, where there are several." placeholder:"NAME"`
	waiting    `embed:""`
}

// Run deploys.
func (c Deploy) Run(g *Globals) error {
	a, err := g.api()
	if err != nil {
		return err
	}
	s, err := c.find(g.Context, a)
	if err != nil {
		return err
	}
	in := &ecs.UpdateServiceInput{Cluster: s.ClusterArn, Service: s.ServiceArn, ForceNewDeployment: true}
	if c.Image != "" {
		if in.TaskDefinition, err = c.definition(g.Context, a, *s.TaskDefinition); err != nil {
			return err
		}
	}
	out, err := a.ecs.UpdateService(g.Context, in)
	if err != nil {
		return plain(err)
	}
	return c.end(g, a, out.Service)
}

// definition registers the service's definition with another image.
func (c Deploy) definition(ctx context.Context, a *api, from string) (*string, error) {
	have, err := a.ecs.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: &from, Include: []types.TaskDefinitionField{types.TaskDefinitionFieldTags}})
	if err != nil {
		return nil, plain(err)
	}
	in := again(have.TaskDefinition, have.Tags)
	at := 0
	if c.Container != "" || len(in.ContainerDefinitions) > 1 {
		at = slices.IndexFunc(in.ContainerDefinitions, func(d types.ContainerDefinition) bool { return aws.ToString(d.Name) == c.Container })
	}
	if at < 0 {
		var names []string
		for _, d := range in.ContainerDefinitions {
			names = append(names, aws.ToString(d.Name))
		}
		return nil, fmt.Errorf("which container is to run %s? Say --container with one of: %s", c.Image, strings.Join(names, ", "))
	}
	in.ContainerDefinitions[at].Image = &c.Image
	out, err := a.ecs.RegisterTaskDefinition(ctx, in)
	if err != nil {
		return nil, plain(err)
	}
	return out.TaskDefinition.TaskDefinitionArn, nil
}

// ServiceRollback goes back to what was deployed before.
type ServiceRollback struct {
	theService `embed:""`
	waiting    `embed:""`
}

// Run stops the deployment that is under way with a rollback, or deploys the task
// definition of the last deployment before this one that was completed.
func (c ServiceRollback) Run(g *Globals) error {
	a, err := g.api()
	if err != nil {
		return err
	}
	ctx := g.Context
	s, err := c.find(ctx, a)
	if err != nil {
		return err
	}
	if d := primary(&s); d != nil && d.RolloutState == types.DeploymentRolloutStateInProgress && len(s.Deployments) > 1 {
		if _, err := a.ecs.StopServiceDeployment(ctx, &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: s.CurrentServiceDeployment, StopType: types.StopServiceDeploymentStopTypeRollback}); err != nil {
			return plain(err)
		}
		if s, err = a.rolledBack(ctx, s, *d.Id); err != nil {
			return err
		}
		return c.end(g, a, &s)
	}
	before, err := a.before(ctx, s)
	if err != nil {
		return err
	}
	out, err := a.ecs.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: s.ClusterArn, Service: s.ServiceArn, TaskDefinition: before})
	if err != nil {
		return plain(err)
	}
	return c.end(g, a, out.Service)
}

// rolledBack is the service once another deployment has taken the place of one that
// was stopped.
func (a *api) rolledBack(ctx context.Context, s types.Service, stopped string) (types.Service, error) {
	for tick := time.NewTicker(50 * time.Millisecond); ; { // ECS has no call that waits
		now, err := theService{Name: *s.ServiceArn}.find(ctx, a)
		if err != nil {
			return now, err
		}
		if d := primary(&now); d != nil && (*d.Id != stopped || d.RolloutState == types.DeploymentRolloutStateFailed) {
			return now, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return now, fmt.Errorf("the rollback of service %s was asked for and has not begun", *s.ServiceName)
		}
	}
}

// before is the task definition of the last deployment that was completed with
// another one than the service has.
func (a *api) before(ctx context.Context, s types.Service) (*string, error) {
	in := &ecs.ListServiceDeploymentsInput{Cluster: s.ClusterArn, Service: s.ServiceArn, Status: []types.ServiceDeploymentStatus{types.ServiceDeploymentStatusSuccessful}}
	for more := true; more; more = in.NextToken != nil {
		page, err := a.ecs.ListServiceDeployments(ctx, in)
		if err != nil {
			return nil, plain(err)
		}
		in.NextToken = page.NextToken
		for _, d := range page.ServiceDeployments {
			out, err := a.ecs.DescribeServiceRevisions(ctx, &ecs.DescribeServiceRevisionsInput{ServiceRevisionArns: []string{*d.TargetServiceRevisionArn}})
			if err != nil {
				return nil, plain(err)
			}
			for _, r := range out.ServiceRevisions {
				if aws.ToString(r.TaskDefinition) != aws.ToString(s.TaskDefinition) {
					return r.TaskDefinition, nil
				}
			}
		}
	}
	return nil, fmt.Errorf("no deployment of service %s with another task definition than %s was completed, so there is nothing to go back to", *s.ServiceName, last(*s.TaskDefinition))
}

// primary is the deployment that a service is brought to; nil for none.
func primary(s *types.Service) *types.Deployment {
	for i := range s.Deployments {
		if aws.ToString(s.Deployments[i].Status) == "PRIMARY" {
			return &s.Deployments[i]
		}
	}
	return nil
}

// end is the end of a command that changed a service: it waits if that was asked
// for, and prints the service.
func (w waiting) end(g *Globals, a *api, s *types.Service) error {
	var failed error
	if w.Wait {
		var err error
		if *s, err = a.watch(g.Context, *s, os.Stderr); err != nil {
			if s.ServiceName == nil {
				return err
			}
			failed = err
		}
	}
	if w.JSON {
		if err := printJSON(g, rowOf(*s)); err != nil {
			return err
		}
		return failed
	}
	if failed == nil {
		fmt.Fprintln(g.Out, *s.ServiceName)
	}
	return failed
}

// watch says how old and new tasks change, and what the service says of itself,
// until it has what it shall have. It is an error if the deployment that the service
// has now fails, or is taken back.
func (a *api) watch(ctx context.Context, s types.Service, say io.Writer) (types.Service, error) {
	began, said, seen := time.Now(), "", map[string]bool{}
	wanted, deployment := primary(&s), s.CurrentServiceDeployment
	if wanted == nil {
		return s, fmt.Errorf("service %s has no deployments to wait for: its deployment controller is %s", *s.ServiceName, s.DeploymentController.Type)
	}
	for _, e := range s.Events {
		seen[*e.Id] = true
	}
	for tick := time.NewTicker(100 * time.Millisecond); ; { // ECS has no call that waits
		if line := progress(s, *wanted.Id); line != said {
			fmt.Fprintf(say, "%8.2f s  %s\n", time.Since(began).Seconds(), line)
			said = line
		}
		for _, e := range slices.Backward(s.Events) {
			if !seen[*e.Id] {
				fmt.Fprintf(say, "            %s\n", *e.Message)
				seen[*e.Id] = true
			}
		}
		switch is(s, *wanted.Id) {
		case isThere:
			return s, nil
		case isOver:
			return s, a.whyOver(ctx, s, deployment)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return s, fmt.Errorf("service %s is not there yet (%s), and goes on: 'berth why %s' says what it waits for", *s.ServiceName, said, *s.ServiceArn)
		}
		var err error
		if s, err = (theService{Name: *s.ServiceArn}).find(ctx, a); err != nil {
			return types.Service{}, err
		}
	}
}

// progress is one line of how a service is.
func progress(s types.Service, wanted string) string {
	var parts []string
	for _, d := range s.Deployments {
		what := "old " + last(aws.ToString(d.TaskDefinition))
		if *d.Id == wanted {
			what = "new " + last(aws.ToString(d.TaskDefinition))
		}
		part := fmt.Sprintf("%s: %d of %d running", what, d.RunningCount, d.DesiredCount)
		if d.PendingCount > 0 {
			part += fmt.Sprintf(", %d pending", d.PendingCount)
		}
		if d.FailedTasks > 0 {
			part += fmt.Sprintf(", %d failed", d.FailedTasks)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}

// How a service is, compared with the deployment that is wanted.
const (
	isUnderWay = iota
	isThere
	isOver // it won't come there any more
)

func is(s types.Service, wanted string) int {
	d := primary(&s)
	switch {
	case d == nil:
		return isOver
	case d.RolloutState == types.DeploymentRolloutStateInProgress: // if another is, it takes the wanted one back
		return isUnderWay
	case *d.Id != wanted || d.RolloutState == types.DeploymentRolloutStateFailed:
		return isOver
	case len(s.Deployments) == 1 && s.RunningCount == s.DesiredCount && s.PendingCount == 0:
		return isThere
	}
	return isUnderWay
}

// whyOver is the error of a deployment that came to nothing.
func (a *api) whyOver(ctx context.Context, s types.Service, deployment *string) error {
	out, err := a.ecs.DescribeServiceDeployments(ctx, &ecs.DescribeServiceDeploymentsInput{ServiceDeploymentArns: []string{aws.ToString(deployment)}})
	if err != nil {
		return plain(err)
	}
	if len(out.ServiceDeployments) == 0 {
		return fmt.Errorf("service %s is %s", *s.ServiceName, aws.ToString(s.Status))
	}
	d := out.ServiceDeployments[0]
	now := ""
	if d.Rollback != nil {
		now = fmt.Sprintf(" The service runs %s again.", last(aws.ToString(s.TaskDefinition)))
	}
	return fmt.Errorf("the deployment of service %s is %s: %s%s 'berth why %s' says more", *s.ServiceName, d.Status, aws.ToString(d.StatusReason), now, *s.ServiceArn)
}
