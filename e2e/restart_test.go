package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// A container with a restart policy that ran for long enough is started again in
// its place: it has its files, its log stream and its ID, and the task runs on.
// Berth is killed meanwhile.
func TestRestartPolicy(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	again := container("again", "append=/kept:x", "cat=/kept", "print=.", "sleep=61s", "exit=7")
	again.RestartPolicy = &types.ContainerRestartPolicy{Enabled: aws.Bool(true), RestartAttemptPeriod: aws.Int32(60), IgnoredExitCodes: []int32{0}}
	// One that ends early is not, nor one whose code is ignored.
	early := container("early", "append=/kept:x", "cat=/kept", "print=.", "exit=7")
	early.RestartPolicy, early.Essential = again.RestartPolicy, aws.Bool(false)
	task := h.run(t, h.register(t, []types.ContainerDefinition{again, early}))
	running := h.await(t, *task.TaskArn, "RUNNING")
	h.kill()
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 90*time.Second, func() error {
		lines, err := h.lines(t.Context(), *task.TaskArn, "again")
		if err == nil && !slices.Equal(lines, []string{"x.", "xx."}) {
			err = fmt.Errorf("it says %q", lines)
		}
		return err
	})
	now, err := h.described(t.Context(), *task.TaskArn)
	if err != nil {
		t.Fatal(err)
	}
	if *now.LastStatus != "RUNNING" || !now.StartedAt.Equal(*running.StartedAt) {
		t.Errorf("the task is %s since %v", *now.LastStatus, now.StartedAt)
	}
	for i, c := range now.Containers {
		switch *c.Name {
		case "again":
			if *c.LastStatus != "RUNNING" || c.ExitCode != nil || *c.RuntimeId != *running.Containers[i].RuntimeId {
				t.Errorf("started again: %+v", c)
			}
		case "early":
			if *c.LastStatus != "STOPPED" || aws.ToInt32(c.ExitCode) != 7 {
				t.Errorf("ended early: %+v", c)
			}
		}
	}
	var restarts []string
	for _, a := range now.Attributes {
		if strings.HasPrefix(*a.Name, "berth.restarts.") {
			restarts = append(restarts, *a.Name+"="+*a.Value)
		}
	}
	if !slices.Equal(restarts, []string{"berth.restarts.again=1"}) {
		t.Errorf("restarts: %q", restarts)
	}
	h.stop(t, *task.TaskArn)
}
