package e2e

import (
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// A task that no service started can't be protected: by the API and by the
// endpoint inside the task alike.
func TestProtectionOfLoneTask(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	arn := *h.run(t, h.register(t, []types.ContainerDefinition{container("web", "serve=8080")}, func(in *ecs.RegisterTaskDefinitionInput) {
		in.TaskRoleArn = aws.String("arn:aws:iam::123456789012:role/web")
	}), withGroups(h.group(t, "--protocol tcp --port 8080 --cidr 0.0.0.0/0"))).TaskArn
	task := h.await(t, arn, "RUNNING")
	web := "http://" + detail(t, task, "privateIPv4Address") + ":8080"
	h.answers(t, web)
	out := h.aws(t, "ecs", "update-task-protection", "--cluster", "default", "--tasks", arn, "--protection-enabled")
	if !strings.Contains(out, "TASK_NOT_VALID") || !strings.Contains(out, arn) {
		t.Errorf("update-task-protection: %s", out)
	}
	env, err := fetch(t.Context(), web+"/env")
	if err != nil {
		t.Fatal(err)
	}
	_, agent, _ := strings.Cut(env, "ECS_AGENT_URI=")
	agent, _, _ = strings.Cut(agent, "\n")
	got, err := fetch(t.Context(), web+"/metadata?url="+url.QueryEscape(agent+"/task-protection/v1/state"))
	if err != nil || !strings.Contains(got, `{"failure":{"Arn":"`+arn+`","Reason":"TASK_NOT_VALID"`) {
		t.Errorf("%s: %s, %v", agent, got, err)
	}
	h.stop(t, arn)
}
