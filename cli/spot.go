package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/berth/berth/local"
)

// Spot is about the capacity of FARGATE_SPOT.
type Spot struct {
	Interrupt Interrupt `cmd:"" help:"Take Spot capacity back, as AWS does at its own times: SIGTERM at once, SIGKILL after the stop timeout."`
}

// Interrupt interrupts tasks.
type Interrupt struct {
	Task      string        `arg:"" optional:"" help:"The task's ID, the beginning of it, or its ARN."`
	Cluster   string        `help:"Interrupt all tasks of a cluster that are on FARGATE_SPOT." placeholder:"NAME"`
	ClosedFor time.Duration `name:"closed-for" help:"Give no other task Spot capacity for so long, in any cluster." placeholder:"DURATION"`
}

// Run interrupts them, and prints the ARNs of those that lose their capacity.
func (c Interrupt) Run(g *Globals) error {
	if (c.Task == "") == (c.Cluster == "") {
		return errors.New("name either a task or, with --cluster, a cluster")
	}
	in := local.Interruption{Cluster: c.Cluster, ClosedFor: c.ClosedFor}
	if c.Task != "" {
		a, err := g.api()
		if err != nil {
			return err
		}
		t, err := a.task(g.Context, c.Task)
		if err != nil {
			return err
		}
		in.Task = *t.TaskArn
	}
	arns, err := local.Dial(g.DataDir).Interrupt(g.Context, in)
	for _, arn := range arns {
		fmt.Fprintln(g.Out, arn)
	}
	return err
}
