package e2e

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// What a task's containers share with each other, or with the host.
func TestSharedNamespaces(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	if out, err := exec.Command(built.berth, "node", "--data-dir", h.dir).CombinedOutput(); err != nil {
		t.Fatalf("berth node: %v: %s", err, out)
	}
	hosts, err := os.ReadFile("/proc/1/comm")
	if err != nil {
		t.Fatal(err)
	}
	bridge := onInstances(types.NetworkModeBridge)
	for name, c := range map[string]struct {
		launch types.LaunchType
		edit   func(*ecs.RegisterTaskDefinitionInput)
		init   string   // PID 1's name
		shm    []string // what the second container says of the first's shared memory
	}{
		"nothing":                 {types.LaunchTypeEc2, bridge, "probe", []string{"no such file"}},
		"processes on Fargate":    {types.LaunchTypeFargate, func(in *ecs.RegisterTaskDefinitionInput) { in.PidMode = types.PidModeTask }, "pause", []string{"no such file"}},
		"processes":               {types.LaunchTypeEc2, func(in *ecs.RegisterTaskDefinitionInput) { bridge(in); in.PidMode = types.PidModeTask }, "pause", []string{"no such file"}},
		"shared memory":           {types.LaunchTypeEc2, func(in *ecs.RegisterTaskDefinitionInput) { bridge(in); in.IpcMode = types.IpcModeTask }, "probe", []string{"shared by writer"}},
		"processes of the host":   {types.LaunchTypeEc2, func(in *ecs.RegisterTaskDefinitionInput) { bridge(in); in.PidMode = types.PidModeHost }, strings.TrimSpace(string(hosts)), []string{"no such file"}},
		"no shared memory at all": {types.LaunchTypeEc2, func(in *ecs.RegisterTaskDefinitionInput) { bridge(in); in.IpcMode = types.IpcModeNone }, "probe", []string{"no such file"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			writer, reader := container("writer", "write=/dev/shm/f:shared by writer", "write=/up:x", "wait"), container("reader", "id", "cat=/dev/shm/f")
			writer.HealthCheck = &types.HealthCheck{Command: []string{"CMD", "/probe", "exists=/up"}, Interval: aws.Int32(5), StartPeriod: aws.Int32(1)}
			reader.DependsOn = []types.ContainerDependency{{ContainerName: aws.String("writer"), Condition: types.ContainerConditionHealthy}}
			if name == "no shared memory at all" {
				writer.Command[0] = "print=without"
			}
			writer.Memory, reader.Memory = aws.Int32(64), aws.Int32(64)
			def := h.register(t, []types.ContainerDefinition{writer, reader}, c.edit)
			edits := []func(*ecs.RunTaskInput){func(in *ecs.RunTaskInput) { in.LaunchType = c.launch }}
			if c.launch == types.LaunchTypeEc2 {
				edits = append(edits, func(in *ecs.RunTaskInput) { in.NetworkConfiguration = nil })
			}
			task := h.run(t, def, edits...)
			end := h.await(t, *task.TaskArn, "STOPPED")
			lines, err := h.lines(t.Context(), *task.TaskArn, "reader")
			all := strings.Join(lines, "\n")
			if err != nil || !strings.Contains(all, "init="+c.init) {
				t.Errorf("the reader said %q, %v; %s", all, err, reasons(end))
			}
			if !slices.ContainsFunc(c.shm, func(want string) bool { return strings.Contains(all, want) }) {
				t.Errorf("the reader said %q, not %q", all, c.shm)
			}
		})
	}
}
