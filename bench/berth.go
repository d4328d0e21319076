package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/client"
)

// berth is the installation under measurement.
type berth struct {
	binary, dir, image string

	cmd      *exec.Cmd
	ecs      *ecs.Client
	logs     *cloudwatchlogs.Client
	subnet   string
	cluster  string
	prepared bool
}

func (b *berth) pid() int { return b.cmd.Process.Pid }

// start runs `berth up` and returns when it says that it is ready.
func (b *berth) start() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	if err := os.MkdirAll(b.dir, 0o711); err != nil {
		return err
	}
	out, err := os.OpenFile(b.dir+"/berth.log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	b.cmd = exec.Command(b.binary, "up", "--data-dir", b.dir, "--listen", "127.0.0.1:0", "--cpu-overcommit", "100", "--memory-overcommit", "100", "--log-level", "warn", "--ready-fd", "3")
	b.cmd.Stdout, b.cmd.Stderr, b.cmd.ExtraFiles = out, out, []*os.File{w}
	err = b.cmd.Start()
	w.Close()
	if err != nil {
		return err
	}
	if line, err := bufio.NewReader(r).ReadString('\n'); err != nil || line != "ready\n" {
		b.cmd.Wait()
		said, _ := os.ReadFile(b.dir + "/berth.log")
		return fmt.Errorf("berth did not get ready: %s", said)
	}
	return b.connect()
}

func (b *berth) connect() error {
	cfg, err := client.Config(context.Background(), b.dir)
	if err != nil {
		return err
	}
	b.ecs, b.logs = ecs.NewFromConfig(cfg), cloudwatchlogs.NewFromConfig(cfg)
	if b.subnet != "" {
		return nil
	}
	var subnets struct {
		IDs []string `xml:"subnetSet>item>subnetId"`
	}
	if err := client.EC2(context.Background(), cfg, "DescribeSubnets", url.Values{}, &subnets); err != nil {
		return err
	}
	if len(subnets.IDs) == 0 {
		return errors.New("there is no subnet")
	}
	b.subnet = subnets.IDs[0]
	return nil
}

func (b *berth) terminate() error {
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return b.cmd.Wait()
}

func (b *berth) down() error {
	if _, err := os.Stat(b.dir); err != nil || b.cmd == nil {
		return err
	}
	err := command(b.binary, "down", "--data-dir", b.dir)
	b.cmd.Wait()
	return err
}

// prepare imports the image and makes cluster and definition, once.
func (b *berth) prepare() error {
	if b.prepared {
		return nil
	}
	if err := command(b.binary, "image", "import", "--data-dir", b.dir, b.image); err != nil {
		return err
	}
	ctx := context.Background()
	c, err := b.ecs.CreateCluster(ctx, &ecs.CreateClusterInput{})
	if err != nil {
		return err
	}
	b.cluster = *c.Cluster.ClusterArn
	b.prepared = true
	return b.register("bench", 1, "256", "512")
}

// register makes a task definition of n containers that wait, which share cpu
// units and memory in MiB.
func (b *berth) register(family string, n int, cpu, memory string) error {
	var containers []types.ContainerDefinition
	for i := range n {
		name := "main"
		if i > 0 {
			name = fmt.Sprint("side", i)
		}
		containers = append(containers, types.ContainerDefinition{
			Name: &name, Image: aws.String("probe"), Command: []string{"wait"},
			LogConfiguration: &types.LogConfiguration{LogDriver: types.LogDriverAwslogs, Options: map[string]string{
				"awslogs-group": "bench", "awslogs-create-group": "true", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "b"}},
		})
	}
	_, err := b.ecs.RegisterTaskDefinition(context.Background(), &ecs.RegisterTaskDefinitionInput{
		Family: &family, NetworkMode: types.NetworkModeAwsvpc, RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		Cpu: &cpu, Memory: &memory, ContainerDefinitions: containers,
	})
	return err
}

func (b *berth) describeCluster() error {
	_, err := b.ecs.DescribeClusters(context.Background(), &ecs.DescribeClustersInput{})
	return err
}

func (b *berth) tagCluster(i int) error {
	_, err := b.ecs.TagResource(context.Background(), &ecs.TagResourceInput{ResourceArn: &b.cluster, Tags: []types.Tag{{Key: aws.String(fmt.Sprint("k", i%16)), Value: aws.String(fmt.Sprint(i))}}})
	return err
}

func (b *berth) runTask(family string, command ...string) (string, error) {
	in := &ecs.RunTaskInput{
		TaskDefinition: &family, LaunchType: types.LaunchTypeFargate,
		NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: []string{b.subnet}}},
	}
	if command != nil {
		in.Overrides = &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{Name: aws.String("main"), Command: command}}}
	}
	out, err := b.ecs.RunTask(context.Background(), in)
	if err != nil {
		return "", err
	}
	if len(out.Failures) > 0 {
		return "", fmt.Errorf("%s: %s", *out.Failures[0].Reason, aws.ToString(out.Failures[0].Detail))
	}
	return *out.Tasks[0].TaskArn, nil
}

// await asks every other millisecond until the task is in the state.
func (b *berth) await(task, state string) error {
	deadline := time.Now().Add(time.Minute)
	for tick := time.NewTicker(2 * time.Millisecond); ; <-tick.C {
		out, err := b.ecs.DescribeTasks(context.Background(), &ecs.DescribeTasksInput{Tasks: []string{task}})
		if err != nil {
			return err
		}
		switch got := *out.Tasks[0].LastStatus; {
		case got == state:
			return nil
		case got == "STOPPED":
			c := out.Tasks[0].Containers[0]
			return fmt.Errorf("the task stopped: %s; exit code %d, %s", aws.ToString(out.Tasks[0].StoppedReason), aws.ToInt32(c.ExitCode), aws.ToString(c.Reason))
		case time.Now().After(deadline):
			return fmt.Errorf("the task is still %s", got)
		}
	}
}

// stopAll stops tasks and waits until all are STOPPED.
func (b *berth) stopAll(tasks []string) error {
	for _, t := range tasks {
		if _, err := b.ecs.StopTask(context.Background(), &ecs.StopTaskInput{Task: &t}); err != nil {
			return err
		}
	}
	for _, t := range tasks {
		if err := b.await(t, "STOPPED"); err != nil {
			return err
		}
	}
	return nil
}

// logLines runs a task that prints n lines and returns when the last is there.
func (b *berth) logLines(n int) (time.Duration, error) {
	began := time.Now()
	task, err := b.runTask("bench", fmt.Sprintf("lines=%d", n))
	if err != nil {
		return 0, err
	}
	stream := "b/main/" + task[strings.LastIndex(task, "/")+1:]
	want := fmt.Sprintf("line %d", n-1)
	for tick, deadline := time.NewTicker(5*time.Millisecond), time.Now().Add(2*time.Minute); time.Now().Before(deadline); <-tick.C {
		out, err := b.logs.GetLogEvents(context.Background(), &cloudwatchlogs.GetLogEventsInput{LogGroupName: aws.String("bench"), LogStreamName: &stream, Limit: aws.Int32(1)})
		if err == nil && len(out.Events) > 0 && *out.Events[0].Message == want {
			return time.Since(began), nil
		}
	}
	return 0, fmt.Errorf("%q did not come", want)
}
