package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/agent/runtime/runtimetest"
)

// Fargate tasks under gVisor: containers of a task share their network, have
// metadata, security groups and ECS Exec, outlive Berth, and end with their codes.
func TestFargateUnderGVisor(t *testing.T) {
	t.Parallel()
	h := newHost(t, "--fargate-runtime", runtimetest.BuildRunsc(t))
	ctx := t.Context()
	task := h.run(t, h.register(t, []types.ContainerDefinition{
		container("web", "serve=8080"),
		container("side", "cat=/proc/version", "wait", "exit=5"),
		container("peer", "serve=9090"),
	}), withGroups(h.group(t, "--protocol tcp --port 8080 --cidr 0.0.0.0/0")))
	arn := *task.TaskArn
	task = h.await(t, arn, "RUNNING")
	if got := attributes(task)["berth.runtime"]; got != "runsc" {
		t.Errorf("the task's runtime is %q", got)
	}
	if lines := h.awaitLine(t, arn, "side", "gvisor"); len(lines) == 0 {
		t.Error("the containers have the host's kernel")
	}
	address := detail(t, task, "privateIPv4Address")
	web := "http://" + address + ":8080"
	h.answers(t, web)
	ask := func(path string) string {
		t.Helper()
		var body string
		eventually(t, 10*time.Second, func() (err error) { body, err = fetch(ctx, web+path); return err })
		return body
	}
	if got := ask("/metadata?path=/task"); !strings.Contains(got, arn) || !strings.Contains(got, `"Name":"side"`) || !strings.Contains(got, `"berth.runtime":"runsc"`) {
		t.Errorf("metadata: %s", got)
	}
	if got := ask("/metadata?path=/stats"); !strings.Contains(got, `"memory_stats"`) {
		t.Errorf("stats: %s", got)
	}
	if got := ask("/dial?to=127.0.0.1:9090"); got != "connected\n" {
		t.Errorf("another container of the task by 127.0.0.1: %q", got)
	}
	h.kill()
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	h.answers(t, web)
	if again, err := h.described(ctx, arn); err != nil || *again.LastStatus != "RUNNING" {
		t.Fatalf("after kill -9: %+v, %v", again, err)
	}
	task = h.stop(t, arn)
	if got := named(t, task, "side"); aws.ToInt32(got.ExitCode) != 5 {
		t.Errorf("side ended with %v, %s", got.ExitCode, aws.ToString(got.Reason))
	}
	if got := named(t, task, "web"); aws.ToInt32(got.ExitCode) != 0 {
		t.Errorf("web ended with %v, %s", got.ExitCode, aws.ToString(got.Reason))
	}
	// What gVisor has not is refused where it would be placed.
	tuned := container("tuned", "wait")
	tuned.SystemControls = []types.SystemControl{{Namespace: aws.String("net.core.somaxconn"), Value: aws.String("1000")}}
	out, err := h.tryRun(ctx, h.register(t, []types.ContainerDefinition{tuned}), func(in *ecs.RunTaskInput) {
		in.NetworkConfiguration.AwsvpcConfiguration.Subnets = h.subnets(t)[:1]
	})
	if err != nil || len(out.Failures) != 1 || !strings.Contains(aws.ToString(out.Failures[0].Detail), "runsc, which has no systemControls") {
		t.Errorf("systemControls: %+v, %v", out, err)
	}
}

// An installation that lacks the runtime says so, and doesn't start.
func TestMissingRuntime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	notRunsc := filepath.Join(dir, "runsc")
	if err := os.WriteFile(notRunsc, []byte("#!/bin/sh\necho 'flag provided but not defined' >&2; exit 2\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for program, want := range map[string]string{"no-such-runtime": "no-such-runtime is not installed", notRunsc: "flag provided but not defined"} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		out, err := exec.CommandContext(ctx, built.berth, "up", "--data-dir", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0", "--fargate-runtime", program).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("--fargate-runtime %s: %v: %s", program, err, out)
		}
	}
}

func attributes(task types.Task) map[string]string {
	m := map[string]string{}
	for _, a := range task.Attributes {
		m[aws.ToString(a.Name)] = fmt.Sprint(aws.ToString(a.Value))
	}
	return m
}
