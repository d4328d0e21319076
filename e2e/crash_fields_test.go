package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Kills Berth over and over while tasks run that use what definitions have:
// ports of the host, links, volumes, a log router, shared processes, restart
// policies, commands by ECS Exec. After each start all is as it was; at the end
// the host has nothing of them.
func TestCrashesWithFields(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(crashSeed(t), 2))
	h := newHost(t)
	h.settle(t, rng)
	if out, err := exec.Command(built.berth, "node", "--data-dir", h.dir).CombinedOutput(); err != nil {
		t.Fatalf("berth node: %v: %s", err, out)
	}
	policy := &types.ContainerRestartPolicy{Enabled: aws.Bool(true)}
	volumes := func(in *ecs.RegisterTaskDefinitionInput) { in.Volumes = []types.Volume{{Name: aws.String("v")}} }
	mount := []types.MountPoint{{SourceVolume: aws.String("v"), ContainerPath: aws.String("/data")}}
	small := func(c types.ContainerDefinition) types.ContainerDefinition {
		c.Memory, c.RestartPolicy = aws.Int32(64), policy
		return c
	}

	// On the container instance: two containers behind ports of the host, that know
	// each other by a link and share a volume.
	static := freePort(t)
	web, db := small(container("web", "serve=80")), small(container("db", "write=/data/f:kept", "serve=5432"))
	web.Links, web.MountPoints, db.MountPoints = []string{"db:database"}, mount, mount
	web.Environment = []types.KeyValuePair{{Name: aws.String("FILE"), Value: aws.String("/data/f")}}
	web.PortMappings = []types.PortMapping{{ContainerPort: aws.Int32(80), HostPort: aws.Int32(static)}, {ContainerPort: aws.Int32(80)}}
	bridged := h.await(t, *h.run(t, h.register(t, []types.ContainerDefinition{web, db}, onInstances(types.NetworkModeBridge), volumes, inFamily("bridged")), func(in *ecs.RunTaskInput) {
		in.LaunchType, in.NetworkConfiguration, in.EnableExecuteCommand = types.LaunchTypeEc2, nil, true
	}).TaskArn, "RUNNING")
	ports := named(t, bridged, "web").NetworkBindings
	if len(ports) != 2 {
		t.Fatalf("the ports are %+v", ports)
	}

	// On Fargate: a log router that gets what another prints, and two containers
	// that see each other's processes.
	router := container("router", "router")
	router.FirelensConfiguration = &types.FirelensConfiguration{Type: types.FirelensConfigurationTypeFluentbit}
	app := container("app", "drip=20")
	app.LogConfiguration = &types.LogConfiguration{LogDriver: types.LogDriverAwsfirelens, Options: map[string]string{"Name": "stdout"}}
	routed := h.await(t, *h.run(t, h.register(t, []types.ContainerDefinition{router, app}, inFamily("routed"))).TaskArn, "RUNNING")
	one, two := container("one", "wait"), container("two", "wait")
	one.RestartPolicy = policy
	shared := h.await(t, *h.run(t, h.register(t, []types.ContainerDefinition{one, two}, inFamily("shared"), func(in *ecs.RegisterTaskDefinitionInput) { in.PidMode = types.PidModeTask }),
		func(in *ecs.RunTaskInput) { in.EnableExecuteCommand = true }).TaskArn, "RUNNING")
	tasks := []types.Task{bridged, routed, shared}

	address := fmt.Sprintf("http://127.0.0.1:%d", static)
	records := 0
	check := func() {
		t.Helper()
		for _, was := range tasks {
			now, err := h.described(t.Context(), *was.TaskArn)
			if err != nil || *now.LastStatus != "RUNNING" || len(now.Containers) != len(was.Containers) || !now.StartedAt.Equal(*was.StartedAt) {
				t.Fatalf("the task is %+v, %v", now, err)
			}
			for i, c := range now.Containers {
				before := was.Containers[i]
				if *c.LastStatus != "RUNNING" || *c.RuntimeId != *before.RuntimeId || len(c.NetworkBindings) != len(before.NetworkBindings) {
					t.Errorf("the container is %+v, and was %+v", c, before)
				}
			}
		}
		for _, b := range ports {
			h.answers(t, fmt.Sprintf("http://127.0.0.1:%d/", *b.HostPort))
		}
		for path, want := range map[string]string{
			"/dial?to=" + url.QueryEscape("database:5432"): "connected\n", "/file?env=FILE": "kept\n", "/metadata?path=/task": `"TaskARN":"` + *bridged.TaskArn + `"`,
		} {
			if got, err := fetch(t.Context(), address+path); err != nil || !strings.Contains(got, want) {
				t.Errorf("%s answers %q, %v; want %q", path, got, err, want)
			}
		}
		for task, want := range map[string]string{*bridged.TaskArn + " web": "init=probe", *shared.TaskArn + " two": "init=pause"} {
			arn, name, _ := strings.Cut(task, " ")
			eventually(t, 10*time.Second, func() error { // the agent in the container is told of first
				out, err := exec.Command(built.berth, "exec", "--data-dir", h.dir, arn[strings.LastIndex(arn, "/")+1:], "-c", name, "--", "/probe", "id").CombinedOutput()
				if err == nil && !strings.Contains(string(out), want) {
					err = fmt.Errorf("it says %s, want %s", out, want)
				}
				if err != nil {
					err = fmt.Errorf("berth exec in %s: %w: %s", name, err, out)
				}
				return err
			})
		}
		eventually(t, 20*time.Second, func() error {
			lines, err := h.lines(t.Context(), *routed.TaskArn, "router")
			if err != nil {
				return err
			}
			if n := strings.Count(strings.Join(lines, "\n"), " stdout line "); n < records+20 {
				return fmt.Errorf("the router has got %d records, and had %d", n, records)
			}
			return nil
		})
		lines, err := h.lines(t.Context(), *routed.TaskArn, "router")
		if err != nil {
			t.Fatal(err)
		}
		records = strings.Count(strings.Join(lines, "\n"), " stdout line ")
	}
	check()
	for i := range 4 {
		life := time.Duration(rng.IntN(700)) * time.Millisecond
		h.kill()
		if i%2 == 1 { // once more, while it starts or has just begun
			if err := h.spawn(); err != nil {
				t.Fatal(err)
			}
			<-time.After(life)
			h.kill()
		}
		h.answers(t, address+"/") // the data plane needs no Berth
		if err := h.start(); err != nil {
			t.Fatal(err)
		}
		check()
	}

	// Each line came to the router, and in order.
	lines, err := h.lines(t.Context(), *routed.TaskArn, "router")
	if err != nil {
		t.Fatal(err)
	}
	next := 0
	for _, l := range lines {
		_, text, ok := strings.Cut(l, " stdout line ")
		if !ok {
			continue
		}
		var n int
		if _, err := fmt.Sscan(text, &n); err != nil || n > next {
			t.Fatalf("after %d records comes %q", next, l)
		}
		// What was sent when Berth was killed is sent again.
		next = max(next, n+1)
	}

	// Killed while they stop, they stop.
	for _, task := range tasks {
		if _, err := h.ecs.StopTask(t.Context(), &ecs.StopTaskInput{Task: task.TaskArn}); err != nil {
			t.Fatal(err)
		}
	}
	h.kill()
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		end := h.await(t, *task.TaskArn, "STOPPED")
		if end.StopCode != types.TaskStopCodeUserInitiated {
			t.Errorf("stopped with %s: %s", end.StopCode, aws.ToString(end.StoppedReason))
		}
	}
	eventually(t, 20*time.Second, func() error {
		have, err := holdings(h.id(), h.dir)
		if err == nil && len(have) > 0 {
			err = errors.New(strings.Join(have, "\n"))
		}
		return err
	})
	if _, err := fetch(t.Context(), address+"/"); err == nil {
		t.Error("the port of a stopped task answers")
	}
}

func inFamily(name string) func(*ecs.RegisterTaskDefinitionInput) {
	return func(in *ecs.RegisterTaskDefinitionInput) { in.Family = &name }
}
