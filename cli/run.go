package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"golang.org/x/term"
)

// runGroup is the log group of tasks of `berth run`.
const runGroup = "/berth/run"

// runContainer is the name of their one container.
const runContainer = "main"

// Run runs an image as a Fargate task.
type Run struct {
	Image   string   `arg:"" help:"The image: one of 'berth image ls', or of a registry."`
	Command []string `arg:"" optional:"" passthrough:"" help:"The command instead of the image's: -- CMD ARG…"`
	Port    []string `short:"p" help:"Let the world in on this port of the task: PORT or PORT/udp." placeholder:"PORT"`
	Env     []string `short:"e" sep:"none" help:"Set an environment variable." placeholder:"K=V"`
	CPU     string   `default:"256" help:"CPU units, 1024 a core (${default})." placeholder:"UNITS"`
	Memory  string   `default:"512" help:"Memory in MiB (${default})." placeholder:"MIB"`
	Cluster string   `default:"default" help:"The cluster (${default}); it is made if need be." placeholder:"NAME"`
	Name    string   `help:"The task definition's family; by default run- and the image's name." placeholder:"FAMILY"`
	Wait    bool     `help:"Print the task's output, and end with it and with its exit code."`
	JSON    bool     `help:"Print JSON, of the task as it runs or, with --wait, has ended."`
}

// ExitCode is the exit code of what was run, which becomes the command's.
type ExitCode int

func (e ExitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// ran is what --json prints.
type ran struct {
	Task       string `json:"task"`
	Cluster    string `json:"cluster"`
	Definition string `json:"definition"`
	Status     string `json:"status"`
	Address    string `json:"address,omitempty"`
	Public     string `json:"public,omitempty"`
	ExitCode   *int32 `json:"exitCode,omitempty"`
	Reason     string `json:"reason,omitempty"`
}

// Run runs it.
func (c Run) Run(g *Globals) error {
	a, err := g.api()
	if err != nil {
		return err
	}
	ctx := g.Context
	ports, err := portMappings(c.Port)
	if err != nil {
		return err
	}
	overrides, err := c.overrides()
	if err != nil {
		return err
	}
	if _, err := a.ecs.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: &c.Cluster}); err != nil {
		return plain(err)
	}
	definition, err := program{family: c.family(), group: runGroup, image: c.Image, ports: ports, cpu: c.CPU, memory: c.Memory}.definition(ctx, a)
	if err != nil {
		return err
	}
	network, err := a.network(ctx, ports)
	if err != nil {
		return err
	}
	began := time.Now()
	out, err := a.ecs.RunTask(ctx, &ecs.RunTaskInput{
		Cluster: &c.Cluster, TaskDefinition: &definition, LaunchType: types.LaunchTypeFargate, NetworkConfiguration: network,
		Overrides: overrides, StartedBy: aws.String("berth run"), EnableExecuteCommand: true, // for berth exec
	})
	if err != nil {
		return plain(err)
	}
	if len(out.Failures) > 0 {
		return fmt.Errorf("the task could not be placed: %s", failure(out.Failures[0]))
	}
	say := io.Discard
	if !c.JSON && term.IsTerminal(int(os.Stderr.Fd())) {
		say = os.Stderr
	}
	t, err := a.follow(ctx, out.Tasks[0], began, say)
	if err != nil {
		return err
	}
	public := ""
	if aws.ToString(t.LastStatus) != stopped {
		if public, err = a.public(ctx, t); err != nil {
			return err
		}
	}
	if c.Wait {
		if t, err = c.wait(ctx, a, t, g.Out); err != nil {
			return err
		}
	}
	return c.end(g.Out, t, public)
}

// end prints what came of it, and returns the exit code of a task that ended.
func (c Run) end(out io.Writer, t types.Task, public string) error {
	r := ran{
		Task: last(*t.TaskArn), Cluster: last(*t.ClusterArn), Definition: last(*t.TaskDefinitionArn), Status: aws.ToString(t.LastStatus),
		Address: attached(t, "privateIPv4Address"), Public: public, ExitCode: t.Containers[0].ExitCode, Reason: aws.ToString(t.StoppedReason),
	}
	switch {
	case c.JSON:
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			return err
		}
	case r.Status != stopped:
		fmt.Fprintln(out, r.Task)
		for _, p := range c.Port {
			fmt.Fprintf(os.Stderr, "port %s is at %s, and from this host only also at %s\n", p, dash(public), r.Address)
		}
	}
	if r.Status != stopped {
		return nil
	}
	if r.ExitCode == nil { // it never ran
		return fmt.Errorf("the task did not start: %s", strings.Join(whyStopped(t), "; "))
	}
	if *r.ExitCode != 0 {
		return ExitCode(*r.ExitCode)
	}
	return nil
}

// wait prints the task's output as it comes, until its end.
func (c Run) wait(ctx context.Context, a *api, t types.Task, out io.Writer) (types.Task, error) {
	if c.JSON {
		out = io.Discard
	}
	tail := &tail{api: a, group: runGroup, stream: c.stream(t), out: out}
	return t, tail.follow(ctx, func() (bool, error) {
		var err error
		t, err = a.describe(ctx, last(*t.ClusterArn), *t.TaskArn)
		return aws.ToString(t.LastStatus) == stopped, err
	})
}

func (c Run) stream(t types.Task) string {
	return c.family() + "/" + runContainer + "/" + last(*t.TaskArn)
}

// family is the name of the task definition.
func (c Run) family() string {
	if c.Name != "" {
		return c.Name
	}
	return "run-" + imageName(c.Image)
}

// overrides are command and environment, which so need no definition of their own.
func (c Run) overrides() (*types.TaskOverride, error) {
	env, err := environment(c.Env)
	o := types.ContainerOverride{Name: aws.String(runContainer), Command: command(c.Command), Environment: env}
	return &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{o}}, err
}

const (
	running = "RUNNING"
	stopped = "STOPPED"
)

// follow says each state of the task until it runs or has stopped.
func (a *api) follow(ctx context.Context, t types.Task, began time.Time, say io.Writer) (types.Task, error) {
	state := ""
	// ECS has no call that waits.
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		if s := aws.ToString(t.LastStatus); s != state {
			fmt.Fprintf(say, "%8.2f s  %s\n", time.Since(began).Seconds(), s)
			state = s
		}
		if state == running || state == stopped {
			return t, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return t, fmt.Errorf("the task is still %s, and goes on: 'berth stop %.8s' stops it", state, last(*t.TaskArn))
		}
		var err error
		if t, err = a.describe(ctx, last(*t.ClusterArn), *t.TaskArn); err != nil {
			return t, err
		}
	}
}

func failure(f types.Failure) string {
	if d := aws.ToString(f.Detail); d != "" {
		return aws.ToString(f.Reason) + " (" + d + ")"
	}
	return aws.ToString(f.Reason)
}
