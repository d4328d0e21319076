package e2e

import (
	"bytes"
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

// describedService is what the test reads of `aws ecs describe-services`.
type describedService struct {
	Status                                   string
	DesiredCount, RunningCount               int
	TaskDefinition, CurrentServiceDeployment string
	Deployments                              []struct{ ID, Status, RolloutState, TaskDefinition string }
	Events                                   []struct{ Message string }
}

func (h *host) service(t *testing.T, name string) describedService {
	t.Helper()
	var out struct{ Services []describedService }
	text := h.aws(t, "ecs", "describe-services", "--services", name)
	if err := json.Unmarshal([]byte(text), &out); err != nil || len(out.Services) != 1 {
		t.Fatalf("%v: %s", err, text)
	}
	return out.Services[0]
}

// completes waits until a service's deployment is completed, a little after the
// waiter's services-stable, and its events say so.
func (h *host) completes(t *testing.T, name string, count int, definition string) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		s := h.service(t, name)
		if s.RunningCount != count || s.TaskDefinition != definition || len(s.Deployments) != 1 || s.Deployments[0].RolloutState != "COMPLETED" ||
			len(s.Events) == 0 || s.Events[0].Message != "(service "+name+") has reached a steady state." {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
}

// A service's life by the AWS CLI and its waiters, with real containers.
func TestServiceCLI(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	definition := h.register(t, []types.ContainerDefinition{container("main", "print=up", "wait")})
	network := "awsvpcConfiguration={subnets=[" + h.subnets(t)[0] + "]}"
	h.aws(t, "ecs", "create-service", "--service-name", "web", "--task-definition", definition, "--desired-count", "2", "--launch-type", "FARGATE",
		"--network-configuration", network, "--enable-ecs-managed-tags", "--propagate-tags", "SERVICE", "--tags", "key=team,value=a")
	h.aws(t, "ecs", "wait", "services-stable", "--services", "web")
	h.completes(t, "web", 2, definition)
	list, err := h.ecs.ListTasks(t.Context(), &ecs.ListTasksInput{ServiceName: aws.String("web")})
	if err != nil || len(list.TaskArns) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	tasks, err := h.ecs.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Tasks: list.TaskArns, Include: []types.TaskField{types.TaskFieldTags}})
	if err != nil {
		t.Fatal(err)
	}
	tags := map[string]string{}
	for _, tag := range tasks.Tasks[0].Tags {
		tags[*tag.Key] = *tag.Value
	}
	if tags["team"] != "a" || tags["aws:ecs:serviceName"] != "web" || tags["aws:ecs:clusterName"] != "default" || *tasks.Tasks[0].Group != "service:web" || !strings.HasPrefix(*tasks.Tasks[0].StartedBy, "ecs-svc/") {
		t.Errorf("%v %+v", tags, tasks.Tasks[0])
	}

	// A task that is stopped is replaced; a new definition replaces all.
	h.aws(t, "ecs", "stop-task", "--task", list.TaskArns[0])
	h.aws(t, "ecs", "wait", "services-stable", "--services", "web")
	second := h.register(t, []types.ContainerDefinition{container("main", "print=again", "wait")})
	h.aws(t, "ecs", "update-service", "--service", "web", "--task-definition", second, "--desired-count", "3")
	h.aws(t, "ecs", "wait", "services-stable", "--services", "web")
	h.completes(t, "web", 3, second)
	var deployments struct{ ServiceDeployments []struct{ Status string } }
	if err := json.Unmarshal([]byte(h.aws(t, "ecs", "list-service-deployments", "--service", "web")), &deployments); err != nil || fmt.Sprint(deployments.ServiceDeployments) != "[{SUCCESSFUL} {SUCCESSFUL}]" {
		t.Errorf("%+v, %v", deployments, err)
	}

	h.aws(t, "ecs", "update-service", "--service", "web", "--desired-count", "0")
	h.aws(t, "ecs", "wait", "services-stable", "--services", "web")
	h.aws(t, "ecs", "delete-service", "--service", "web")
	h.aws(t, "ecs", "wait", "services-inactive", "--services", "web")
}

// The commands with which a person keeps tasks running.
func TestServiceCommands(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	berth := func(args ...string) (out, said string, code int) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		cmd := exec.Command(built.berth, args...)
		cmd.Env = append(h.env, "BERTH_DATA_DIR="+h.dir)
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		_ = cmd.Run() // the exit code says how it ended
		return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
	}
	out, said, code := berth("service", "up", "--name", "web", "--count", "2", "--wait", "--json", "probe", "--", "print=one", "wait")
	var row struct {
		Definition       string
		Desired, Running int
		Rollout          string
	}
	if err := json.Unmarshal([]byte(out), &row); err != nil || code != 0 || row.Running != 2 || row.Rollout != "COMPLETED" || row.Definition != "web:1" {
		t.Fatalf("service up: exit code %d, %v: %s%s", code, err, out, said)
	}
	if !strings.Contains(said, "new web:1: 2 of 2 running") || !strings.Contains(said, "has started 2 tasks") {
		t.Errorf("service up says %s", said)
	}
	if out, said, code := berth("service", "scale", "web", "3", "--wait"); code != 0 || out != "web\n" || !strings.Contains(said, "3 of 3 running") {
		t.Errorf("service scale: exit code %d, %s%s", code, out, said)
	}
	if out, said, code := berth("service", "up", "--name", "web", "--count", "3", "--wait", "probe", "--", "print=two", "wait"); code != 0 || !strings.Contains(said, "old web:1") || !strings.Contains(said, "new web:2: 3 of 3 running") {
		t.Errorf("service up of another: exit code %d, %s%s", code, out, said)
	}
	if out, said, code := berth("service", "rollback", "web", "--wait", "--json"); code != 0 || !strings.Contains(out, `"definition": "web:1"`) {
		t.Errorf("service rollback: exit code %d, %s%s", code, out, said)
	}
	if out, said, code := berth("deploy", "web", "--wait"); code != 0 || !strings.Contains(said, "old web:1") {
		t.Errorf("deploy: exit code %d, %s%s", code, out, said)
	}
	// One that can't start is taken back, and the command says so.
	if out, said, code := berth("deploy", "web", "--image", "nosuch", "--wait"); code != 1 || !inOrder(said, "rolling back", "circuit breaker", "The service runs web:1 again.") {
		t.Errorf("deploy of no image: exit code %d, %s%s", code, out, said)
	}
	if out, said, code := berth("service", "ls"); code != 0 || !strings.Contains(out, "web") {
		t.Errorf("service ls: exit code %d, %s%s", code, out, said)
	}
	if out, said, code := berth("why", "arn:aws:ecs:us-east-1:123456789012:service/default/web"); code != 0 ||
		!inOrder(out, "3 of 3 tasks run", "(primary, web:1)", "rolling back to deployment", "CannotPullContainerError") {
		t.Errorf("why: exit code %d, %s%s", code, out, said)
	}
	if out, said, code := berth("service", "rm", "web", "--wait"); code != 0 || out != "web\n" {
		t.Errorf("service rm: exit code %d, %s%s", code, out, said)
	}
	if _, said, code := berth("service", "scale", "web", "1"); code != 1 || !strings.Contains(said, "there is no service web in cluster default") {
		t.Errorf("service scale of none: exit code %d, %s", code, said)
	}
}
