package e2e

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// What a user types, with the AWS CLI.
func TestAWSCommandLine(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	account := strings.TrimSpace(h.aws(t, "sts", "get-caller-identity", "--query", "Account", "--output", "text"))
	if len(account) != 12 {
		t.Errorf("the account is %q", account)
	}
	h.aws(t, "ecs", "create-cluster", "--cluster-name", "cli", "--tags", "key=a,value=b")
	h.aws(t, "ecs", "register-task-definition", "--family", "cli", "--network-mode", "awsvpc", "--requires-compatibilities", "FARGATE", "--cpu", "256", "--memory", "512",
		"--container-definitions", `[{"name":"c","image":"probe","command":["print=hello","wait"],"logConfiguration":{"logDriver":"awslogs","options":{"awslogs-group":"cli","awslogs-create-group":"true","awslogs-region":"us-east-1","awslogs-stream-prefix":"s"}}}]`)
	task := strings.TrimSpace(h.aws(t, "ecs", "run-task", "--cluster", "cli", "--task-definition", "cli", "--launch-type", "FARGATE", "--network-configuration",
		"awsvpcConfiguration={subnets=["+h.subnets(t)[1]+"],assignPublicIp=ENABLED}", "--query", "tasks[0].taskArn", "--output", "text"))
	h.aws(t, "ecs", "wait", "tasks-running", "--cluster", "cli", "--tasks", task)
	if out := h.aws(t, "ecs", "list-tasks", "--cluster", "cli"); !strings.Contains(out, task) {
		t.Errorf("list-tasks shows %s", out)
	}
	if out := h.aws(t, "ecs", "describe-clusters", "--clusters", "cli", "--query", "clusters[0].runningTasksCount"); strings.TrimSpace(out) != "1" {
		t.Errorf("the cluster counts %s running tasks", out)
	}
	_, err := h.awsTry("ecs", "delete-cluster", "--cluster", "cli")
	if err == nil || !strings.Contains(err.Error(), "ClusterContainsTasksException") {
		t.Errorf("deleting a cluster with a task: %v", err)
	}
	h.aws(t, "ecs", "stop-task", "--cluster", "cli", "--task", task, "--reason", "enough")
	h.aws(t, "ecs", "wait", "tasks-stopped", "--cluster", "cli", "--tasks", task)
	if out := h.aws(t, "ecs", "describe-tasks", "--cluster", "cli", "--tasks", task, "--query", "tasks[0].stoppedReason"); strings.TrimSpace(out) != `"enough"` {
		t.Errorf("stoppedReason is %s", out)
	}
	h.aws(t, "ecs", "delete-cluster", "--cluster", "cli")
}

// awsVersion2 finds an AWS CLI of version 2, which alone has `aws logs tail`.
// It need not be the first on the PATH.
func awsVersion2(t *testing.T) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/bin") {
		path := filepath.Join(dir, "aws")
		if out, err := exec.Command(path, "--version").CombinedOutput(); err == nil && strings.HasPrefix(string(out), "aws-cli/2.") {
			return path
		}
	}
	t.Fatal("no AWS CLI of version 2 is installed, which `aws logs tail` needs: scripts/host-packages test installs one")
	return ""
}

// aws logs tail --follow shows lines as they are written.
func TestLogsTailFollow(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	task := h.run(t, h.register(t, []types.ContainerDefinition{container("drip", "drip=20")}))
	h.await(t, *task.TaskArn, "RUNNING")
	h.awaitLine(t, *task.TaskArn, "drip", "line 0")
	stream := "t/drip/" + (*task.TaskArn)[strings.LastIndex(*task.TaskArn, "/")+1:]
	cmd := exec.CommandContext(t.Context(), awsVersion2(t), "--endpoint-url", h.endpoint(), "logs", "tail", "e2e", "--follow", "--since", "10m", "--format", "short", "--log-stream-names", stream)
	cmd.Env = append(h.env, "PYTHONUNBUFFERED=1")
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	limit := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer limit.Stop()
	seen := map[string]bool{}
	for s := bufio.NewScanner(pipe); s.Scan() && len(seen) < 150; {
		line := s.Text()[strings.Index(s.Text(), "line "):]
		if seen[line] {
			t.Fatalf("%q came twice", line)
		}
		seen[line] = true
	}
	if len(seen) < 150 {
		t.Errorf("only %d lines came", len(seen))
	}
	h.stop(t, *task.TaskArn)
}

// The commands of the human.
func TestBerthCommands(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	berth := func(args ...string) (string, error) {
		out, err := exec.Command(built.berth, append(args, "--data-dir", h.dir)...).CombinedOutput()
		return string(out), err
	}
	env, err := berth("env")
	if err != nil || !strings.Contains(env, "export AWS_ENDPOINT_URL="+h.endpoint()) {
		t.Errorf("berth env: %v: %s", err, env)
	}
	out, err := exec.Command("bash", "-c", `eval "$(`+built.berth+` env --data-dir `+h.dir+`)" && aws ecs list-clusters --output text`).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "cluster/default") {
		t.Errorf("with berth env, aws ecs list-clusters: %v: %s", err, out)
	}
	status, err := berth("status")
	if err != nil || !strings.Contains(status, "is healthy") {
		t.Errorf("berth status: %v: %s", err, status)
	}
	images, err := berth("image", "ls")
	if err != nil || !strings.Contains(images, "docker.io/library/probe:latest") {
		t.Errorf("berth image ls: %v: %s", err, images)
	}
	if out, err := berth("image", "rm", "probe"); err != nil {
		t.Errorf("berth image rm: %v: %s", err, out)
	}
	if images, err := berth("image", "ls"); err != nil || strings.Contains(images, "probe") {
		t.Errorf("after image rm: %v: %s", err, images)
	}
	if out, err := berth("image", "import", built.image); err != nil || !strings.Contains(out, "docker.io/library/probe:latest") {
		t.Errorf("berth image import: %v: %s", err, out)
	}
	if out, err := berth("up", "--listen", "127.0.0.1:0"); err == nil || !strings.Contains(out, "another berth is running") {
		t.Errorf("a second berth up on the same directory: %v: %s", err, out)
	}
	if out, err := exec.Command(built.berth, "up", "--data-dir", filepath.Join(t.TempDir(), "x"), "--listen", "0.0.0.0:0").CombinedOutput(); err == nil || !strings.Contains(string(out), "loopback") {
		t.Errorf("listening on all addresses without TLS: %v: %s", err, out)
	}
	if out, err := exec.Command(built.berth, "status", "--data-dir", t.TempDir()).CombinedOutput(); err == nil || !strings.Contains(string(out), "isn't running") {
		t.Errorf("status of nothing: %v: %s", err, out)
	}
}
