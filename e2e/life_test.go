package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// A task that is run, seen running, stopped and seen stopped, as DescribeTasks
// tells it.
func TestTaskLife(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	def := h.register(t, []types.ContainerDefinition{container("main", "print=started", "wait")})
	task := h.run(t, def)
	if s := *task.LastStatus; s != "PROVISIONING" {
		t.Errorf("RunTask answered with a task that is %s, want PROVISIONING", s)
	}
	running := h.await(t, *task.TaskArn, "RUNNING")
	h.awaitLine(t, *task.TaskArn, "main", "started")
	if running.StartedAt == nil || running.PullStartedAt == nil || running.ConnectivityAt == nil || running.CreatedAt.After(*running.StartedAt) {
		t.Errorf("times of a running task: %+v", running)
	}
	if c := running.Containers[0]; *c.LastStatus != "RUNNING" || c.RuntimeId == nil || !strings.HasPrefix(aws.ToString(c.ImageDigest), "sha256:") {
		t.Errorf("container of a running task: %+v", c)
	}
	if s := *running.Attachments[0].Status; s != "ATTACHED" {
		t.Errorf("attachment is %s, want ATTACHED", s)
	}
	stopped := h.stop(t, *task.TaskArn)
	h.awaitLine(t, *task.TaskArn, "main", "got terminated")
	if stopped.StopCode != types.TaskStopCodeUserInitiated || *stopped.StoppedReason != "Task stopped by user" {
		t.Errorf("stopped with %s, %q", stopped.StopCode, *stopped.StoppedReason)
	}
	if c := stopped.Containers[0]; aws.ToInt32(c.ExitCode) != 0 || c.ExitCode == nil || *c.LastStatus != "STOPPED" {
		t.Errorf("container of a stopped task: %+v", c)
	}
	if stopped.StoppingAt == nil || stopped.StoppedAt == nil || stopped.ExecutionStoppedAt == nil || stopped.StoppedAt.Before(*stopped.StoppingAt) {
		t.Errorf("times of a stopped task: %v %v %v", stopped.StoppingAt, stopped.ExecutionStoppedAt, stopped.StoppedAt)
	}
	if s := *stopped.Attachments[0].Status; s != "DELETED" {
		t.Errorf("attachment is %s, want DELETED", s)
	}
}

// How tasks end, and what they say of it.
func TestTaskEnds(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	depends := func(c types.ContainerDefinition, on string, condition types.ContainerCondition) types.ContainerDefinition {
		c.DependsOn = []types.ContainerDependency{{ContainerName: &on, Condition: condition}}
		return c
	}
	optional := func(c types.ContainerDefinition) types.ContainerDefinition {
		c.Essential = aws.Bool(false)
		return c
	}
	with := func(c types.ContainerDefinition, edit func(*types.ContainerDefinition)) types.ContainerDefinition {
		edit(&c)
		return c
	}
	healthy := &types.HealthCheck{Command: []string{"CMD", "/probe", "exists=/up"}, Interval: aws.Int32(5), Timeout: aws.Int32(2), Retries: aws.Int32(1)}
	tests := []struct {
		name       string
		containers []types.ContainerDefinition
		code       types.TaskStopCode
		reason     string           // is in stoppedReason
		exits      map[string]int32 // -1: none
		says       map[string]string
	}{
		{"exit code", []types.ContainerDefinition{container("a", "exit=7")}, types.TaskStopCodeEssentialContainerExited, "Essential container in task exited", map[string]int32{"a": 7}, nil},
		{"others are stopped with the essential one",
			[]types.ContainerDefinition{container("a", "sleep=300ms", "exit=3"), container("b", "wait")},
			types.TaskStopCodeEssentialContainerExited, "Essential container in task exited", map[string]int32{"a": 3, "b": 0}, map[string]string{"b": "got terminated"}},
		{"SIGKILL after stopTimeout",
			[]types.ContainerDefinition{container("a", "sleep=300ms", "exit=0"), with(container("b", "ignore"), func(c *types.ContainerDefinition) { c.StopTimeout = aws.Int32(2) })},
			types.TaskStopCodeEssentialContainerExited, "Essential container in task exited", map[string]int32{"a": 0, "b": 137}, map[string]string{"b": "ignored terminated"}},
		{"localhost is shared",
			[]types.ContainerDefinition{optional(container("server", "serve=8080")), depends(container("a", "sleep=300ms", "dial=127.0.0.1:8080", "print=reached"), "server", types.ContainerConditionStart)},
			types.TaskStopCodeEssentialContainerExited, "", map[string]int32{"a": 0}, map[string]string{"a": "reached"}},
		{"dependsOn SUCCESS",
			[]types.ContainerDefinition{optional(container("init", "print=first", "exit=0")), depends(container("a", "print=second", "exit=5"), "init", types.ContainerConditionSuccess)},
			types.TaskStopCodeEssentialContainerExited, "", map[string]int32{"init": 0, "a": 5}, map[string]string{"a": "second"}},
		{"dependsOn COMPLETE after a failure",
			[]types.ContainerDefinition{optional(container("init", "exit=9")), depends(container("a", "exit=5"), "init", types.ContainerConditionComplete)},
			types.TaskStopCodeEssentialContainerExited, "", map[string]int32{"init": 9, "a": 5}, nil},
		{"dependsOn SUCCESS never reached",
			[]types.ContainerDefinition{optional(container("init", "exit=9")), depends(container("a", "exit=5"), "init", types.ContainerConditionSuccess)},
			types.TaskStopCodeTaskFailedToStart, "", map[string]int32{"init": 9, "a": -1}, nil},
		{"dependsOn HEALTHY",
			[]types.ContainerDefinition{
				with(optional(container("db", "write=/up:yes", "wait")), func(c *types.ContainerDefinition) { c.HealthCheck = healthy }),
				depends(container("a", "exit=5"), "db", types.ContainerConditionHealthy)},
			types.TaskStopCodeEssentialContainerExited, "", map[string]int32{"a": 5}, nil},
		{"startTimeout",
			[]types.ContainerDefinition{
				with(optional(container("db", "wait")), func(c *types.ContainerDefinition) { c.HealthCheck, c.StartTimeout = healthy, aws.Int32(2) }),
				depends(container("a", "exit=5"), "db", types.ContainerConditionHealthy)},
			types.TaskStopCodeTaskFailedToStart, "", map[string]int32{"a": -1}, nil},
		{"out of memory", []types.ContainerDefinition{with(container("a", "eat=256"), func(c *types.ContainerDefinition) { c.Memory = aws.Int32(64) })},
			types.TaskStopCodeEssentialContainerExited, "", map[string]int32{"a": 137}, nil},
		{"no such image", []types.ContainerDefinition{with(container("a"), func(c *types.ContainerDefinition) { c.Image = aws.String("127.0.0.1:1/nothing:here") })},
			types.TaskStopCodeTaskFailedToStart, "CannotPullContainerError", map[string]int32{"a": -1}, nil},
		{"no such program", []types.ContainerDefinition{with(container("a"), func(c *types.ContainerDefinition) { c.EntryPoint = []string{"/nothing"} })},
			types.TaskStopCodeTaskFailedToStart, "CannotStartContainerError", map[string]int32{"a": -1}, nil},
		{"user, working directory, read-only root, init", []types.ContainerDefinition{with(container("a", "id", "write=/x:y"), func(c *types.ContainerDefinition) {
			c.User, c.WorkingDirectory, c.ReadonlyRootFilesystem = aws.String("12:34"), aws.String("/proc"), aws.Bool(true)
			c.LinuxParameters = &types.LinuxParameters{InitProcessEnabled: aws.Bool(true)}
		})}, types.TaskStopCodeEssentialContainerExited, "", map[string]int32{"a": 1}, map[string]string{"a": "uid=12 gid=34 cwd=/proc"}},
		{"capabilities", []types.ContainerDefinition{with(container("a", "caps", "exit=0"), func(c *types.ContainerDefinition) {
			c.LinuxParameters = &types.LinuxParameters{Capabilities: &types.KernelCapabilities{Add: []string{"SYS_PTRACE"}, Drop: []string{"NET_RAW", "CHOWN"}}}
		})}, types.TaskStopCodeEssentialContainerExited, "", map[string]int32{"a": 0}, map[string]string{"a": "caps 00000000a80c05fa"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			task := h.run(t, h.register(t, tt.containers))
			stopped := h.await(t, *task.TaskArn, "STOPPED")
			if stopped.StopCode != tt.code || !strings.Contains(aws.ToString(stopped.StoppedReason), tt.reason) {
				t.Errorf("stopped with %s: %q, want %s: %q", stopped.StopCode, aws.ToString(stopped.StoppedReason), tt.code, tt.reason)
			}
			for name, want := range tt.exits {
				c := named(t, stopped, name)
				if got := aws.ToInt32(c.ExitCode); want < 0 && c.ExitCode != nil || want >= 0 && (c.ExitCode == nil || got != want) {
					t.Errorf("container %s: exit code %v (%v), want %d", name, got, c.ExitCode != nil, want)
				}
			}
			for name, want := range tt.says {
				h.awaitLine(t, *task.TaskArn, name, want)
			}
			if tt.name == "out of memory" {
				if r := aws.ToString(stopped.Containers[0].Reason); r != "OutOfMemoryError: Container killed due to memory usage" {
					t.Errorf("the container's reason is %q", r)
				}
			}
		})
	}
}

// Overrides reach the process; task volumes are shared between containers.
func TestOverridesAndVolumes(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	mount := []types.MountPoint{{SourceVolume: aws.String("scratch"), ContainerPath: aws.String("/scratch")}}
	writer, reader := container("writer", "write=/scratch/f:from-writer", "exit=0"), container("reader", "cat=/scratch/f", "exit=0")
	writer.Essential = aws.Bool(false)
	writer.MountPoints, reader.MountPoints = mount, mount
	reader.DependsOn = []types.ContainerDependency{{ContainerName: aws.String("writer"), Condition: types.ContainerConditionSuccess}}
	def := h.register(t, []types.ContainerDefinition{writer, reader}, func(in *ecs.RegisterTaskDefinitionInput) {
		in.Volumes = []types.Volume{{Name: aws.String("scratch")}}
	})
	task := h.run(t, def)
	h.await(t, *task.TaskArn, "STOPPED")
	h.awaitLine(t, *task.TaskArn, "reader", "from-writer")

	web := container("web", "exit=1")
	web.Environment = []types.KeyValuePair{{Name: aws.String("A"), Value: aws.String("definition")}, {Name: aws.String("B"), Value: aws.String("definition")}}
	group := h.group(t, "--protocol tcp --port 8080 --cidr 0.0.0.0/0")
	task = h.run(t, h.register(t, []types.ContainerDefinition{web}), withGroups(group), func(in *ecs.RunTaskInput) {
		in.Overrides = &types.TaskOverride{Cpu: aws.String("512"), Memory: aws.String("1024"), ContainerOverrides: []types.ContainerOverride{{
			Name: aws.String("web"), Command: []string{"serve=8080"}, Environment: []types.KeyValuePair{{Name: aws.String("B"), Value: aws.String("override")}},
		}}}
		in.StartedBy, in.Group = aws.String("tester"), aws.String("mine")
		in.Tags = []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}
	})
	running := h.await(t, *task.TaskArn, "RUNNING")
	if *running.Cpu != "512" || *running.Memory != "1024" || *running.StartedBy != "tester" || *running.Group != "mine" {
		t.Errorf("task shows cpu %s, memory %s, startedBy %s, group %s", *running.Cpu, *running.Memory, *running.StartedBy, *running.Group)
	}
	var env string
	eventually(t, 10*time.Second, func() (err error) {
		env, err = fetch(t.Context(), "http://"+detail(t, running, "privateIPv4Address")+":8080/env")
		return err
	})
	for _, want := range []string{"A=definition", "B=override", "AWS_REGION=us-east-1", "AWS_EXECUTION_ENV=AWS_ECS_FARGATE"} {
		if !strings.Contains(env, want) {
			t.Errorf("the environment lacks %s:\n%s", want, env)
		}
	}
	h.stop(t, *task.TaskArn)
}

// The same client token runs no second task.
func TestClientToken(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	def := h.register(t, []types.ContainerDefinition{container("main", "wait")})
	token := func(in *ecs.RunTaskInput) { in.ClientToken = aws.String("token-" + family(t)) }
	first := h.run(t, def, token)
	second := h.run(t, def, token)
	if *first.TaskArn != *second.TaskArn {
		t.Errorf("the same token ran %s and %s", *first.TaskArn, *second.TaskArn)
	}
	_, err := h.tryRun(t.Context(), def, token, func(in *ecs.RunTaskInput) {
		in.NetworkConfiguration.AwsvpcConfiguration.Subnets = []string{h.subnets(t)[0]}
		in.Count = aws.Int32(2)
	})
	if err == nil || !strings.Contains(err.Error(), "ConflictException") {
		t.Errorf("the same token with another request: %v, want ConflictException", err)
	}
	h.stop(t, *first.TaskArn)
}
