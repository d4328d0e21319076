package cli

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Ps lists tasks.
type Ps struct {
	All     bool   `short:"a" help:"Stopped tasks too."`
	Cluster string `help:"Of this cluster only." placeholder:"NAME"`
	JSON    bool   `help:"Print JSON."`
}

// row is a task as ps shows it.
type row struct {
	Task       string     `json:"task"`
	Cluster    string     `json:"cluster"`
	Definition string     `json:"definition"`
	Status     string     `json:"status"`
	Health     string     `json:"health"`
	Address    string     `json:"address,omitempty"`
	Group      string     `json:"group"`
	Created    *time.Time `json:"created"`
	Reason     string     `json:"reason,omitempty"`
}

// Run lists them.
func (c Ps) Run(g *Globals) error {
	a, err := g.api()
	if err != nil {
		return err
	}
	names, err := a.clusters(g.Context, c.Cluster)
	if err != nil {
		return err
	}
	rows := []row{}
	for _, cluster := range names {
		tasks, err := a.tasks(g.Context, cluster, c.All)
		if err != nil {
			return err
		}
		for _, t := range tasks {
			rows = append(rows, row{
				Task: last(*t.TaskArn), Cluster: cluster, Definition: last(*t.TaskDefinitionArn), Status: aws.ToString(t.LastStatus), Health: string(t.HealthStatus),
				Address: attached(t, "privateIPv4Address"), Group: aws.ToString(t.Group), Created: t.CreatedAt, Reason: aws.ToString(t.StoppedReason),
			})
		}
	}
	if c.JSON {
		e := json.NewEncoder(g.Out)
		e.SetIndent("", "  ")
		return e.Encode(rows)
	}
	w := tabwriter.NewWriter(g.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TASK\tCLUSTER\tDEFINITION\tSTATUS\tHEALTH\tADDRESS\tAGE\tREASON")
	for _, r := range rows {
		fmt.Fprintf(w, "%.12s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Task, r.Cluster, r.Definition, r.Status, r.Health, dash(r.Address), time.Since(*r.Created).Round(time.Second), r.Reason)
	}
	return w.Flush()
}

// Stop stops tasks.
type Stop struct {
	Task   []string `arg:"" help:"The task's ID, the beginning of it, or its ARN."`
	Reason string   `default:"berth stop" help:"Why, for those who look at it later." placeholder:"TEXT"`
	Wait   bool     `help:"Return when they have stopped."`
}

// Run stops them.
func (c Stop) Run(g *Globals) error {
	a, err := g.api()
	if err != nil {
		return err
	}
	var tasks []types.Task
	for _, ref := range c.Task {
		t, err := a.task(g.Context, ref)
		if err != nil {
			return err
		}
		if _, err := a.ecs.StopTask(g.Context, &ecs.StopTaskInput{Cluster: t.ClusterArn, Task: t.TaskArn, Reason: &c.Reason}); err != nil {
			return plain(err)
		}
		tasks = append(tasks, t)
	}
	for _, t := range tasks {
		for tick := time.NewTicker(20 * time.Millisecond); c.Wait && aws.ToString(t.LastStatus) != stopped; {
			select {
			case <-tick.C:
			case <-g.Context.Done():
				return fmt.Errorf("task %s is still %s", last(*t.TaskArn), *t.LastStatus)
			}
			if t, err = a.describe(g.Context, last(*t.ClusterArn), *t.TaskArn); err != nil {
				return err
			}
		}
		fmt.Fprintln(g.Out, last(*t.TaskArn))
	}
	return nil
}
