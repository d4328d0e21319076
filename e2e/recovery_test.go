package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// After kill -9: what ran runs on, what ended meanwhile is reported with its
// code, and no line is lost or doubled.
func TestKillAndRestart(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	group := h.group(t, "--protocol tcp --port 8080 --cidr 0.0.0.0/0")
	dripping := h.run(t, h.register(t, []types.ContainerDefinition{container("main", "drip=50"), container("web", "serve=8080")}), withGroups(group), withPublicIP)
	ending := h.run(t, h.register(t, []types.ContainerDefinition{container("main", "sleep=1500ms", "print=bye", "exit=42")}))
	h.await(t, *dripping.TaskArn, "RUNNING")
	h.await(t, *ending.TaskArn, "RUNNING")
	h.awaitLine(t, *dripping.TaskArn, "main", "line 5")
	h.kill()
	// The data plane and the processes don't need Berth.
	address := detail(t, dripping, "privateIPv4Address")
	eventually(t, 5*time.Second, func() error {
		_, err := fetch(t.Context(), "http://"+address+":8080/")
		return err
	})
	end := time.After(1500 * time.Millisecond)
	<-end // the second task's process ends while Berth is away
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	task, err := h.described(t.Context(), *dripping.TaskArn)
	if err != nil {
		t.Fatal(err)
	}
	if *task.LastStatus != "RUNNING" {
		t.Errorf("after the restart the running task is %s: %s", *task.LastStatus, aws.ToString(task.StoppedReason))
	}
	stopped := h.await(t, *ending.TaskArn, "STOPPED")
	if c := stopped.Containers[0]; aws.ToInt32(c.ExitCode) != 42 {
		t.Errorf("the task that ended meanwhile: %s", reasons(stopped))
	}
	h.awaitLine(t, *ending.TaskArn, "main", "bye")
	if _, err := fetch(t.Context(), "http://"+address+":8080/"); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	h.awaitLine(t, *dripping.TaskArn, "main", "line 150")
	h.stop(t, *dripping.TaskArn)
	lines := h.awaitLine(t, *dripping.TaskArn, "main", "got terminated")
	for i, l := range lines[:len(lines)-1] {
		if want := fmt.Sprintf("line %d", i); strings.TrimSpace(l) != want {
			t.Fatalf("line %d of the log is %q, want %q", i, l, want)
		}
	}
}

// SIGTERM stops Berth and leaves tasks running.
func TestTerminateLeavesTasks(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	group := h.group(t, "--protocol tcp --port 8080 --cidr 0.0.0.0/0")
	task := h.run(t, h.register(t, []types.ContainerDefinition{container("web", "serve=8080")}), withGroups(group))
	h.await(t, *task.TaskArn, "RUNNING")
	address := detail(t, task, "privateIPv4Address")
	if err := h.terminate(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, func() error {
		_, err := fetch(t.Context(), "http://"+address+":8080/")
		return err
	})
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	h.await(t, *task.TaskArn, "RUNNING")
	h.stop(t, *task.TaskArn)
}
