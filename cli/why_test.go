package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func TestWhy(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now := at.Add(90 * time.Second)
	text := aws.String
	container := func(status string, code *int32, reason string) types.Container {
		c := types.Container{Name: text("web"), Image: text("nginx"), LastStatus: &status, ExitCode: code}
		if reason != "" {
			c.Reason = &reason
		}
		return c
	}
	for _, c := range []struct {
		name string
		task types.Task
		want string
	}{
		{"waits for its interface", types.Task{LastStatus: text("PROVISIONING"), CreatedAt: &at, Containers: []types.Container{container("PENDING", nil, "")}},
			"It has been on its node for 1m30s.|It waits for its network interface.|Its node has not begun to pull its images."},
		{"pulls", types.Task{LastStatus: text("PENDING"), CreatedAt: &at, ConnectivityAt: &at, PullStartedAt: &at, Containers: []types.Container{container("PENDING", nil, "")}},
			"It has been on its node for 1m30s.|Its node has been pulling for 1m30s: nginx."},
		{"waits for a dependency", types.Task{LastStatus: text("ACTIVATING"), CreatedAt: &at, ConnectivityAt: &at, PullStartedAt: &at, PullStoppedAt: &at, Containers: []types.Container{container("PENDING", nil, "")}},
			"It has been on its node for 1m30s.|Container web has not started: it is being made, or waits for what it depends on."},
		{"runs, sick", types.Task{LastStatus: text("RUNNING"), StartedAt: &at, Containers: []types.Container{{Name: text("web"), LastStatus: text("RUNNING"), HealthStatus: types.HealthStatusUnhealthy}}},
			"It has run for 1m30s.|Container web is UNHEALTHY: its health check fails."},
		{"being stopped", types.Task{LastStatus: text("STOPPING"), DesiredStatus: text("STOPPED"), StoppedReason: text("deploy"), Containers: []types.Container{container("RUNNING", nil, "")}},
			"It is being stopped: deploy.|Container web still runs: it has its stop timeout from SIGTERM to SIGKILL."},
		{"out of memory", types.Task{LastStatus: text("STOPPED"), StopCode: types.TaskStopCodeEssentialContainerExited, Containers: []types.Container{container("STOPPED", aws.Int32(137), "OutOfMemoryError: Container killed due to memory usage")}},
			"A container that it can't be without has ended.|Container web was ended by signal 9 (exit code 137): OutOfMemoryError: Container killed due to memory usage.|It needed more memory than it may have: raise memory in the task definition, or the container's own limit."},
		{"stopped by a person", types.Task{LastStatus: text("STOPPED"), StopCode: types.TaskStopCodeUserInitiated, StoppedReason: text("berth stop"), Containers: []types.Container{container("STOPPED", aws.Int32(0), "")}},
			"Somebody asked for its end: berth stop.|Container web ended with exit code 0."},
		{"no image", types.Task{LastStatus: text("STOPPED"), StopCode: types.TaskStopCodeTaskFailedToStart, StoppedReason: text("CannotPullContainerError: no such host"), Containers: []types.Container{container("STOPPED", nil, "")}},
			"It could not be started: CannotPullContainerError: no such host.|Container web never ran.|See that the image's name is right and its registry can be reached from the node; 'berth image ls' lists what is there already."},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(why(c.task, now), "|"); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestTimeline(t *testing.T) {
	at := time.Now()
	started := at.Add(30 * time.Millisecond)
	attribute := func(name, value string) types.Attribute { return types.Attribute{Name: &name, Value: &value} }
	steps := timeline(types.Task{CreatedAt: &at, StartedAt: &started, Attributes: []types.Attribute{
		attribute("ecs.cpu-architecture", "x86_64"), attribute("berth.step.00.place", "0+1500"), attribute("berth.step.01.start.web", "5000+20000"),
	}})
	var got []string
	for _, s := range steps {
		got = append(got, s.Step+" "+took(s))
	}
	if want := "place 1.5 ms|start web 20.0 ms|RUNNING "; strings.Join(got, "|") != want {
		t.Errorf("got %q, want %q", strings.Join(got, "|"), want)
	}
	if steps[1].After != 5 || steps[2].After != 30 {
		t.Errorf("they began after %v and %v ms, want 5 and 30", steps[1].After, steps[2].After)
	}
}

func TestPortMappings(t *testing.T) {
	got, err := portMappings([]string{"80", "53/udp"})
	if err != nil || len(got) != 2 || *got[0].ContainerPort != 80 || got[0].Protocol != "tcp" || *got[1].ContainerPort != 53 || got[1].Protocol != "udp" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "0", "65536", "8080:80", "80/sctp", "x"} {
		if _, err := portMappings([]string{bad}); err == nil {
			t.Errorf("-p %q is taken", bad)
		}
	}
}

func TestFamily(t *testing.T) {
	for image, want := range map[string]string{
		"busybox": "run-busybox", "docker.io/library/nginx:1.27": "run-nginx", "localhost:5000/a.b/c.d@sha256:00": "run-c-d",
	} {
		if got := (Run{Image: image}).family(); got != want {
			t.Errorf("%s is of family %s, want %s", image, got, want)
		}
	}
}
