package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// lastEvents is how many of a service's events are shown.
const lastEvents = 10

// isService reports whether a reference is the ARN of a service.
func isService(ref string) bool {
	return strings.HasPrefix(ref, "arn:") && strings.Contains(ref, ":service/")
}

// service says how a service is, and what it waits for.
func (c Why) service(g *Globals, a *api) error {
	s, err := theService{Name: c.Task, Cluster: "default"}.find(g.Context, a)
	if err != nil {
		return err
	}
	words := whyService(s, time.Now())
	for _, status := range []types.DesiredStatus{types.DesiredStatusRunning, types.DesiredStatusStopped} {
		list, err := a.ecs.ListTasks(g.Context, &ecs.ListTasksInput{Cluster: s.ClusterArn, ServiceName: s.ServiceName, DesiredStatus: status})
		if err != nil {
			return plain(err)
		}
		if len(list.TaskArns) == 0 {
			continue
		}
		out, err := a.ecs.DescribeTasks(g.Context, &ecs.DescribeTasksInput{Cluster: s.ClusterArn, Tasks: list.TaskArns})
		if err != nil {
			return plain(err)
		}
		words = append(words, troubled(out.Tasks, time.Now())...)
	}
	if c.JSON {
		return printJSON(g, struct {
			serviceRow
			Why []string `json:"why"`
		}{rowOf(s), words})
	}
	fmt.Fprintf(g.Out, "Service %s in cluster %s is %s: %d of %d tasks run, %d pending.\n", *s.ServiceName, last(*s.ClusterArn), *s.Status, s.RunningCount, s.DesiredCount, s.PendingCount)
	for _, w := range words {
		fmt.Fprintln(g.Out, "  "+w)
	}
	return nil
}

// whyService is what a service's deployments and newest events say.
func whyService(s types.Service, now time.Time) []string {
	var words []string
	for _, d := range s.Deployments {
		w := fmt.Sprintf("Deployment %s (%s, %s): %d of %d run", last(*d.Id), strings.ToLower(*d.Status), last(aws.ToString(d.TaskDefinition)), d.RunningCount, d.DesiredCount)
		if d.PendingCount > 0 {
			w += fmt.Sprintf(", %d pending", d.PendingCount)
		}
		if d.FailedTasks > 0 {
			w += fmt.Sprintf(", %d failed", d.FailedTasks)
		}
		words = append(words, w+". "+aws.ToString(d.RolloutStateReason))
	}
	events := s.Events[:min(len(s.Events), lastEvents)]
	for _, e := range slices.Backward(events) {
		words = append(words, fmt.Sprintf("%s ago: %s", span(*e.CreatedAt, now), *e.Message))
	}
	return words
}

// troubled says why tasks wait or ended by themselves; a few of them.
func troubled(tasks []types.Task, now time.Time) []string {
	slices.SortFunc(tasks, func(x, y types.Task) int { return y.CreatedAt.Compare(*x.CreatedAt) })
	var words []string
	for _, t := range tasks {
		status := aws.ToString(t.LastStatus)
		if status == running || t.StopCode == types.TaskStopCodeServiceSchedulerInitiated || t.StopCode == types.TaskStopCodeUserInitiated || len(words) >= 3 {
			continue
		}
		words = append(words, fmt.Sprintf("Task %.12s is %s. %s", last(*t.TaskArn), status, strings.Join(why(t, now), " ")))
	}
	return words
}
