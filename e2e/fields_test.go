package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// A container mounts what another one does.
func TestVolumesFrom(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	writer, reader := container("writer", "write=/data/f:from the writer", "exit=0"), container("reader", "cat=/borrowed/f", "cat=/data/f", "write=/data/g:x")
	writer.Essential = aws.Bool(false)
	writer.MountPoints = []types.MountPoint{{SourceVolume: aws.String("v"), ContainerPath: aws.String("/data")}, {SourceVolume: aws.String("v"), ContainerPath: aws.String("/borrowed")}}
	reader.VolumesFrom = []types.VolumeFrom{{SourceContainer: aws.String("writer"), ReadOnly: aws.Bool(true)}}
	reader.DependsOn = []types.ContainerDependency{{ContainerName: aws.String("writer"), Condition: types.ContainerConditionSuccess}}
	task := h.run(t, h.register(t, []types.ContainerDefinition{writer, reader}, func(in *ecs.RegisterTaskDefinitionInput) {
		in.Volumes = []types.Volume{{Name: aws.String("v")}}
	}))
	end := h.await(t, *task.TaskArn, "STOPPED")
	lines, err := h.lines(t.Context(), *task.TaskArn, "reader")
	all := strings.Join(lines, "\n")
	if err != nil || strings.Count(all, "from the writer") != 2 || !strings.Contains(all, "read-only file system") {
		t.Errorf("the reader said %q, %v; %s", all, err, reasons(end))
	}
}

// A FireLens container gets what the others print.
func TestFirelens(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	router := container("router", "cat=/fluent-bit/etc/fluent-bit.conf", "router")
	router.FirelensConfiguration = &types.FirelensConfiguration{Type: types.FirelensConfigurationTypeFluentbit}
	app := container("app", "print=hello router", "err=and errors", "wait")
	app.LogConfiguration = &types.LogConfiguration{LogDriver: types.LogDriverAwsfirelens, Options: map[string]string{"Name": "stdout", "Format": "json"}}
	task := h.run(t, h.register(t, []types.ContainerDefinition{app, router}))
	id := (*task.TaskArn)[strings.LastIndex(*task.TaskArn, "/")+1:]
	h.await(t, *task.TaskArn, "RUNNING")
	h.awaitLine(t, *task.TaskArn, "router", "record app-firelens-"+id+" stdout hello router")
	lines := h.awaitLine(t, *task.TaskArn, "router", "record app-firelens-"+id+" stderr and errors")
	h.stop(t, *task.TaskArn)
	h.awaitLine(t, *task.TaskArn, "router", "stdout got terminated")
	all := strings.Join(lines, "\n")
	for _, want := range []string{"unix_path /var/run/fluent.sock", "Record ecs_task_arn " + *task.TaskArn, "Match app-firelens*", "Format json"} {
		if !strings.Contains(all, want) {
			t.Errorf("the router's configuration lacks %q: %s", want, all)
		}
	}
}

// In a bridge, where it has an address of its own, the router is reached by those
// that speak its protocol themselves.
func TestFirelensInBridge(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	if out, err := exec.Command(built.berth, "node", "--data-dir", h.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	router := container("router", "router")
	router.FirelensConfiguration = &types.FirelensConfiguration{Type: types.FirelensConfigurationTypeFluentbit}
	app := container("app", "forward=from the app", "print=hello router", "wait")
	app.LogConfiguration = &types.LogConfiguration{LogDriver: types.LogDriverAwsfirelens, Options: map[string]string{"Name": "stdout"}}
	router.Memory, app.Memory = aws.Int32(64), aws.Int32(64)
	task := h.run(t, h.register(t, []types.ContainerDefinition{app, router}, onInstances(types.NetworkModeBridge)), func(in *ecs.RunTaskInput) {
		in.LaunchType, in.NetworkConfiguration = types.LaunchTypeEc2, nil
	})
	id := (*task.TaskArn)[strings.LastIndex(*task.TaskArn, "/")+1:]
	h.await(t, *task.TaskArn, "RUNNING")
	h.awaitLine(t, *task.TaskArn, "router", "record direct itself from the app")
	h.awaitLine(t, *task.TaskArn, "router", "record app-firelens-"+id+" stdout hello router")
}

// Lines that belong together are one event.
func TestMultilineLogs(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	c := container("main", "print=2026-11-23 panic: oh", "print=  at one", "print=  at two", "print=2026-11-24 next", "exit=0")
	c.LogConfiguration.Options["awslogs-datetime-format"] = "%Y-%m-%d"
	task := h.run(t, h.register(t, []types.ContainerDefinition{c}))
	h.await(t, *task.TaskArn, "STOPPED")
	id := (*task.TaskArn)[strings.LastIndex(*task.TaskArn, "/")+1:]
	eventually(t, 20*time.Second, func() error {
		out, err := h.logs.GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{LogGroupName: aws.String("e2e"), LogStreamName: aws.String("t/main/" + id), StartFromHead: aws.Bool(true)})
		if err != nil {
			return err
		}
		var got []string
		for _, e := range out.Events {
			got = append(got, *e.Message)
		}
		want := []string{"2026-11-23 panic: oh\n  at one\n  at two\n", "2026-11-24 next\n"}
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
			return fmt.Errorf("the events are %q, want %q", got, want)
		}
		return nil
	})
}
