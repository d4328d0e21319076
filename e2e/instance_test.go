package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// EC2 mode: the host becomes a container instance, runs tasks in bridge mode with
// static and dynamic ports, drains, and leaves.
func TestContainerInstance(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	berth := func(args ...string) (string, error) {
		cmd := exec.Command(built.berth, append(args, "--data-dir", h.dir)...)
		out, err := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	// Nobody has registered.
	bridge := h.register(t, []types.ContainerDefinition{func() types.ContainerDefinition {
		c := container("web", "serve=8080")
		c.Memory = aws.Int32(64)
		c.PortMappings = []types.PortMapping{{ContainerPort: aws.Int32(8080), HostPort: aws.Int32(18080)}, {ContainerPort: aws.Int32(8080)}}
		return c
	}()}, onInstances(types.NetworkModeBridge))
	if _, err := h.ecs.RunTask(t.Context(), &ecs.RunTaskInput{TaskDefinition: &bridge, LaunchType: types.LaunchTypeEc2}); err == nil || !strings.Contains(err.Error(), "No Container Instances were found in your cluster.") {
		t.Errorf("without an instance: %v", err)
	}
	arn, err := berth("node", "-a", "rack=7", "--reserved-port", "22")
	if err != nil || !strings.Contains(arn, ":container-instance/default/") {
		t.Fatalf("berth node: %v: %s", err, arn)
	}
	if again, err := berth("node", "-a", "rack=8", "--reserved-port", "22"); err != nil || again != arn {
		t.Errorf("berth node again: %v: %s, want %s", err, again, arn)
	}
	var shown struct {
		ContainerInstances []struct {
			Status, Ec2InstanceId                   string
			AgentConnected                          bool
			RunningTasksCount                       int
			Attributes                              []struct{ Name, Value string }
			RegisteredResources, RemainingResources []struct {
				Name           string
				IntegerValue   int
				StringSetValue []string
			}
		}
	}
	describe := func() {
		t.Helper()
		if err := json.Unmarshal([]byte(h.aws(t, "ecs", "describe-container-instances", "--container-instances", arn)), &shown); err != nil || len(shown.ContainerInstances) != 1 {
			t.Fatalf("%v: %+v", err, shown)
		}
	}
	describe()
	i := shown.ContainerInstances[0]
	if i.Status != "ACTIVE" || !i.AgentConnected || !strings.HasPrefix(i.Ec2InstanceId, "i-") || !strings.Contains(fmt.Sprint(i.Attributes), "{rack 8}") || strings.Contains(fmt.Sprint(i.Attributes), "berth.node") {
		t.Errorf("the instance is %+v", i)
	}
	memory := i.RemainingResources[1].IntegerValue

	// The static port is the task's; the dynamic one is shown when it runs.
	var ran struct {
		Tasks    []struct{ TaskArn, ContainerInstanceArn string }
		Failures []struct{ Arn, Reason string }
	}
	run := func() {
		t.Helper()
		ran.Tasks, ran.Failures = nil, nil
		if err := json.Unmarshal([]byte(h.aws(t, "ecs", "run-task", "--task-definition", bridge, "--launch-type", "EC2")), &ran); err != nil {
			t.Fatal(err)
		}
	}
	run()
	if len(ran.Tasks) != 1 || ran.Tasks[0].ContainerInstanceArn != arn {
		t.Fatalf("%+v", ran)
	}
	first := ran.Tasks[0].TaskArn
	task := h.await(t, first, "RUNNING")
	bound := task.Containers[0].NetworkBindings
	if len(bound) != 2 || *bound[0].HostPort != 18080 || *bound[1].HostPort < 32768 || len(task.Attachments) != 0 || task.LaunchType != types.LaunchTypeEc2 {
		t.Errorf("the task is %+v", task)
	}
	for _, b := range bound {
		h.answers(t, fmt.Sprintf("http://127.0.0.1:%d/", *b.HostPort))
	}
	run()
	if len(ran.Tasks) != 0 || len(ran.Failures) != 1 || ran.Failures[0].Reason != "RESOURCE:PORTS" || ran.Failures[0].Arn != arn {
		t.Errorf("a second task on the same port: %+v", ran)
	}
	describe()
	if i := shown.ContainerInstances[0]; i.RunningTasksCount != 1 || i.RemainingResources[1].IntegerValue != memory-64 || !strings.Contains(fmt.Sprint(i.RemainingResources[2]), "18080") {
		t.Errorf("with a task the instance is %+v", i)
	}
	if out := h.aws(t, "ecs", "list-tasks", "--container-instance", arn); !strings.Contains(out, first) {
		t.Errorf("its tasks are %s", out)
	}

	// Host mode, by StartTask; draining keeps new tasks away.
	host := h.register(t, []types.ContainerDefinition{func() types.ContainerDefinition {
		c := container("web", "print=up", "serve=18081")
		c.Memory = aws.Int32(64)
		return c
	}()}, onInstances(types.NetworkModeHost))
	started, err := h.ecs.StartTask(t.Context(), &ecs.StartTaskInput{TaskDefinition: &host, ContainerInstances: []string{arn}})
	if err != nil || len(started.Tasks) != 1 {
		t.Fatalf("StartTask: %v: %+v", err, started)
	}
	h.await(t, *started.Tasks[0].TaskArn, "RUNNING")
	h.answers(t, "http://127.0.0.1:18081/")
	h.aws(t, "ecs", "update-container-instances-state", "--container-instances", arn, "--status", "DRAINING")
	run()
	if len(ran.Failures) != 1 || ran.Failures[0].Reason != "INACTIVE" {
		t.Errorf("on a draining instance: %+v", ran)
	}
	// A restart of Berth keeps all of it.
	h.kill()
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	h.answers(t, "http://127.0.0.1:18080/")
	h.answers(t, "http://127.0.0.1:18081/")
	if out, err := berth("node", "--remove"); err == nil || !strings.Contains(out, "Found running tasks on the instance.") {
		t.Errorf("removal with tasks: %v: %s", err, out)
	}
	if out, err := berth("node", "--remove", "--force"); err != nil {
		t.Errorf("forced removal: %v: %s", err, out)
	}
	h.await(t, first, "STOPPED")
	h.await(t, *started.Tasks[0].TaskArn, "STOPPED")
}

// The same definition runs on Fargate and on a container instance, unchanged,
// and its container sees the same in both.
func TestBothLaunchTypes(t *testing.T) {
	t.Parallel()
	h := newFieldHost(t)
	c := container("main", "see", "wait")
	c.Environment = []types.KeyValuePair{{Name: aws.String("A"), Value: aws.String("b")}}
	c.Ulimits = []types.Ulimit{{Name: types.UlimitNameNofile, SoftLimit: 1000, HardLimit: 2000}}
	c.SystemControls = []types.SystemControl{{Namespace: aws.String("net.core.somaxconn"), Value: aws.String("77")}}
	c.MountPoints = []types.MountPoint{{SourceVolume: aws.String("v"), ContainerPath: aws.String("/data")}}
	c.Cpu, c.Memory, c.User, c.WorkingDirectory, c.ReadonlyRootFilesystem = 100, aws.Int32(64), aws.String("1000:1000"), aws.String("/data"), aws.Bool(true)
	c.LinuxParameters = &types.LinuxParameters{InitProcessEnabled: aws.Bool(true), Tmpfs: []types.Tmpfs{{ContainerPath: aws.String("/tmp"), Size: 5}}}
	c.HealthCheck = &types.HealthCheck{Command: []string{"CMD", "/probe", "exit=0"}}
	c.PortMappings = []types.PortMapping{{ContainerPort: aws.Int32(80)}}
	def := h.register(t, []types.ContainerDefinition{c}, func(in *ecs.RegisterTaskDefinitionInput) {
		in.RequiresCompatibilities = []types.Compatibility{types.CompatibilityFargate, types.CompatibilityEc2}
		in.Volumes = []types.Volume{{Name: aws.String("v")}}
	})
	var first map[string]any
	for _, launch := range []types.LaunchType{types.LaunchTypeFargate, types.LaunchTypeEc2, types.LaunchTypeFargate} {
		task := h.run(t, def, func(in *ecs.RunTaskInput) { in.LaunchType = launch })
		running := h.await(t, *task.TaskArn, "RUNNING")
		if running.LaunchType != launch || (running.ContainerInstanceArn != nil) != (launch == types.LaunchTypeEc2) || len(running.Attachments) != 1 {
			t.Errorf("on %s the task is %+v", launch, running)
		}
		seen := h.seen(t, *task.TaskArn, "main").(map[string]any)
		env := seen["env"].(map[string]any)
		if got, want := env["AWS_EXECUTION_ENV"], "AWS_ECS_"+string(launch); got != want {
			t.Errorf("AWS_EXECUTION_ENV is %v, want %s", got, want)
		}
		// What is the task's own.
		for _, name := range []string{"AWS_EXECUTION_ENV", "HOSTNAME", "ECS_AGENT_URI", "ECS_CONTAINER_METADATA_URI", "ECS_CONTAINER_METADATA_URI_V4", "ECS_CONTAINER_METADATA_FILE"} {
			delete(env, name)
		}
		for _, name := range []string{"namespaces", "interfaces", "hosts", "hostname", "metadata"} {
			delete(seen, name)
		}
		// Only Fargate tasks have a disk of a size of their own.
		for _, at := range []string{"/", "/data"} {
			m := seen["mounts"].(map[string]any)[at].(map[string]any)
			delete(m, "options")
			delete(m, "mib")
		}
		if first == nil {
			first = seen
		} else if d := lacking("on "+string(launch), whole(first), any(seen), nil); d != "" {
			t.Error(d)
		}
		h.stop(t, *task.TaskArn)
	}
	if got := first["cwd"]; got != "/data" {
		t.Errorf("it ran in %v", got)
	}
}

// onInstances makes a definition one for container instances alone.
func onInstances(mode types.NetworkMode) func(*ecs.RegisterTaskDefinitionInput) {
	return func(in *ecs.RegisterTaskDefinitionInput) {
		in.NetworkMode, in.RequiresCompatibilities, in.Cpu, in.Memory = mode, []types.Compatibility{types.CompatibilityEc2}, nil, nil
	}
}

// answers waits until an address answers as the probe does.
func (h *host) answers(t *testing.T, url string) {
	t.Helper()
	eventually(t, 20*time.Second, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		got, err := fetch(ctx, url)
		if err == nil && got != "ok\n" {
			err = fmt.Errorf("%s answers %q", url, got)
		}
		return err
	})
}
