package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Logs prints what a task's containers write.
type Logs struct {
	Task      string        `arg:"" help:"The task's ID, the beginning of it, or its ARN."`
	Container string        `short:"c" help:"The container, if there are several with logs." placeholder:"NAME"`
	Follow    bool          `short:"f" help:"Go on until the task has stopped."`
	Since     time.Duration `help:"Only lines of this long ago and later: 10m, 1h." placeholder:"DURATION"`
	Time      bool          `short:"t" help:"Print each line's time."`
}

// Run prints them.
func (c Logs) Run(g *Globals) error {
	a, err := g.api()
	if err != nil {
		return err
	}
	t, err := a.task(g.Context, c.Task)
	if err != nil {
		return err
	}
	tail, err := c.tail(g.Context, a, t)
	if err != nil {
		return err
	}
	tail.out, tail.time = g.Out, c.Time
	if c.Since > 0 {
		tail.since = time.Now().Add(-c.Since)
	}
	return tail.follow(g.Context, func() (bool, error) {
		if !c.Follow {
			return true, nil
		}
		t, err := a.describe(g.Context, last(*t.ClusterArn), *t.TaskArn)
		return aws.ToString(t.LastStatus) == stopped, err
	})
}

// tail finds the stream of the task's container.
func (c Logs) tail(ctx context.Context, a *api, t types.Task) (*tail, error) {
	out, err := a.ecs.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: t.TaskDefinitionArn})
	if err != nil {
		return nil, plain(err)
	}
	var logged []types.ContainerDefinition
	var names []string
	for _, d := range out.TaskDefinition.ContainerDefinitions {
		if c.Container != "" && *d.Name != c.Container {
			continue
		}
		if d.LogConfiguration != nil && d.LogConfiguration.LogDriver == types.LogDriverAwslogs {
			logged = append(logged, d)
			names = append(names, *d.Name)
		}
	}
	switch {
	case len(logged) == 0 && c.Container != "":
		return nil, fmt.Errorf("task %s has no container %s that logs with awslogs", last(*t.TaskArn), c.Container)
	case len(logged) == 0:
		return nil, fmt.Errorf("no container of task %s logs with awslogs", last(*t.TaskArn))
	case len(logged) > 1:
		return nil, fmt.Errorf("several containers log: say which with -c: %s", strings.Join(names, ", "))
	}
	o := logged[0].LogConfiguration.Options
	stream := last(*t.TaskArn)
	if prefix := o["awslogs-stream-prefix"]; prefix != "" {
		stream = prefix + "/" + *logged[0].Name + "/" + stream
	}
	return &tail{api: a, group: o["awslogs-group"], stream: stream}, nil
}

// tail prints a log stream.
type tail struct {
	api           *api
	group, stream string
	since         time.Time
	time          bool
	out           io.Writer
}

// follow prints what there is and what comes, until ended says so. What came
// before that is printed.
func (l *tail) follow(ctx context.Context, ended func() (bool, error)) error {
	var token *string
	for tick := time.NewTicker(200 * time.Millisecond); ; {
		over, err := ended()
		if err != nil {
			return err
		}
		if token, err = l.print(ctx, token); err != nil {
			return err
		}
		if over {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil // that is how a person ends it
		}
	}
}

// print prints all events after a token and returns the next one.
func (l *tail) print(ctx context.Context, token *string) (*string, error) {
	in := &cloudwatchlogs.GetLogEventsInput{LogGroupName: &l.group, LogStreamName: &l.stream, StartFromHead: aws.Bool(true), NextToken: token}
	if !l.since.IsZero() {
		in.StartTime = aws.Int64(l.since.UnixMilli())
	}
	for {
		out, err := l.api.logs.GetLogEvents(ctx, in)
		var none *logtypes.ResourceNotFoundException
		if errors.As(err, &none) || ctx.Err() != nil {
			return token, nil // nothing was written yet
		}
		if err != nil {
			return nil, plain(err)
		}
		for _, e := range out.Events {
			if l.time {
				fmt.Fprint(l.out, time.UnixMilli(*e.Timestamp).Format("2006-01-02T15:04:05.000Z07:00 "))
			}
			fmt.Fprintln(l.out, *e.Message)
		}
		if aws.ToString(out.NextForwardToken) == aws.ToString(in.NextToken) {
			return out.NextForwardToken, nil
		}
		in.NextToken = out.NextForwardToken
	}
}
