package e2e

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// What the AWS CLI is told of definitions and container instances, and a task
// whose definition asks its instance for much.
func TestInstanceDefinitions(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	out, err := exec.Command(built.berth, "node", "--data-dir", h.dir).CombinedOutput()
	if err != nil {
		t.Fatalf("berth node: %v: %s", err, out)
	}
	instance := strings.TrimSpace(string(out))
	for _, c := range []struct{ mode, compatibility, fields, want string }{
		{"bridge", "EC2", `"linuxParameters": {"swappiness": 101}`, "Invalid 'swappiness' setting for container 'web'"},
		{"bridge", "EC2", `"linuxParameters": {"devices": [{"hostPath": "dev"}]}`, "hostPath must be an absolute path"},
		{"bridge", "EXTERNAL", `"dockerSecurityOptions": ["label:type:x"]`, "'label:type:x' of container 'web' is not supported"},
		{"none", "EC2", `"portMappings": [{"containerPort": 80}]`, "when networkMode=none"},
		{"awsvpc", "EC2", `"hostname": "h"`, "hostname is not supported on container when networkMode=awsvpc."},
		{"awsvpc", "FARGATE", `"linuxParameters": {"devices": [{"hostPath": "/dev/null"}]}`, "do not support devices."},
		{"bridge", "EC2", `"secrets": [{"name": "A", "valueFrom": "arn"}]`, "containerDefinitions[0].secrets[0] is not supported"},
	} {
		containers := `[{"name": "web", "image": "probe", "memory": 64, ` + c.fields + `}]`
		got, err := h.awsTry("ecs", "register-task-definition", "--family", "refused", "--network-mode", c.mode, "--requires-compatibilities", c.compatibility,
			"--cpu", "256", "--memory", "512", "--container-definitions", containers)
		if err == nil || !strings.Contains(got+err.Error(), "(ClientException)") || !strings.Contains(got+err.Error(), c.want) {
			t.Errorf("%s: %v: %s, want %s", c.fields, err, got, c.want)
		}
	}
	if got, err := h.awsTry("ecs", "update-container-agent", "--container-instance", instance); err == nil || !strings.Contains(got+err.Error(), "NoUpdateAvailableException") {
		t.Errorf("update-container-agent: %v: %s", err, got)
	}

	c := container("web", "print=up", "wait")
	c.Memory, c.Privileged, c.StopTimeout = aws.Int32(64), aws.Bool(true), aws.Int32(1)
	c.LinuxParameters = &types.LinuxParameters{
		InitProcessEnabled: aws.Bool(true), SharedMemorySize: aws.Int32(8), Devices: []types.Device{{HostPath: aws.String("/dev/null"), ContainerPath: aws.String("/dev/nothing")}},
		Capabilities: &types.KernelCapabilities{Add: []string{"SYS_ADMIN"}},
	}
	def := h.register(t, []types.ContainerDefinition{c}, onInstances(types.NetworkModeBridge), func(in *ecs.RegisterTaskDefinitionInput) {
		in.ExecutionRoleArn, in.TaskRoleArn = aws.String("arn:aws:iam::123456789012:role/a"), aws.String("arn:aws:iam::123456789012:role/b")
	})
	var ran struct {
		Tasks []struct {
			TaskArn    string
			Attributes []struct{ Name, Value string }
		}
		Failures []struct{ Reason string }
	}
	if err := json.Unmarshal([]byte(h.aws(t, "ecs", "run-task", "--task-definition", def, "--launch-type", "EC2")), &ran); err != nil || len(ran.Tasks) != 1 {
		t.Fatalf("%v: %+v", err, ran)
	}
	placed := false
	for _, a := range ran.Tasks[0].Attributes {
		placed = placed || a.Name == "berth.step.00.place" && strings.HasPrefix(a.Value, "0+")
	}
	if !placed {
		t.Errorf("how long the placement took is not in %+v", ran.Tasks[0].Attributes)
	}
	h.await(t, ran.Tasks[0].TaskArn, "RUNNING")
	h.awaitLine(t, ran.Tasks[0].TaskArn, "web", "up")
	h.stop(t, ran.Tasks[0].TaskArn)
}
