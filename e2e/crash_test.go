package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
)

// How much TestCrashes does. BERTH_CRASH_SEED repeats a run's choices.
const (
	crashTasks   = 100
	crashClients = 6
)

// crashJob is one task of the crash test.
type crashJob struct {
	kind  string
	token string
	after time.Duration // when to stop it, from the RunTask on; negative: never
	sleep time.Duration // an exiter's life
	code  int32         // and its exit code

	arn  string     // acknowledged by RunTask
	stop bool       // acknowledged by StopTask
	task types.Task // at the end
}

// definitions of the kinds of tasks.
var crashKinds = map[string]func() []types.ContainerDefinition{
	"dripper": func() []types.ContainerDefinition {
		return []types.ContainerDefinition{container("main", "begin", "drip=40"), container("web", "begin", "serve=8080")}
	},
	"exiter": func() []types.ContainerDefinition { return []types.ContainerDefinition{container("main", "exit=1")} },
	"chain": func() []types.ContainerDefinition {
		first, second, third := container("first", "begin", "print=done", "exit=0"), container("second", "begin", "wait"), container("third", "begin", "wait")
		first.Essential = aws.Bool(false)
		second.DependsOn = []types.ContainerDependency{{ContainerName: aws.String("first"), Condition: types.ContainerConditionSuccess}}
		third.DependsOn = []types.ContainerDependency{{ContainerName: aws.String("second"), Condition: types.ContainerConditionStart}}
		return []types.ContainerDefinition{third, second, first}
	},
	"stubborn": func() []types.ContainerDefinition {
		c := container("main", "begin", "ignore")
		c.StopTimeout = aws.Int32(2)
		return []types.ContainerDefinition{c}
	},
}

// crashJobs draws what the clients do.
func crashJobs(rng *rand.Rand, seed uint64) []*crashJob {
	kinds := []string{"dripper", "exiter", "chain", "stubborn"}
	var jobs []*crashJob
	for i := range crashTasks {
		j := &crashJob{kind: kinds[rng.IntN(len(kinds))], token: fmt.Sprintf("crash-%d-%d", seed, i), after: time.Duration(rng.IntN(1500)) * time.Millisecond}
		if rng.IntN(3) == 0 {
			j.after = -1
		}
		if j.kind == "exiter" {
			j.sleep, j.code = time.Duration(rng.IntN(1200))*time.Millisecond, int32(rng.IntN(100))
		}
		jobs = append(jobs, j)
	}
	return jobs
}

// crashSeed is what a test's random choices follow from.
func crashSeed(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("BERTH_CRASH_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("BERTH_CRASH_SEED=%d", seed)
	return seed
}

// Kills Berth at random moments while clients launch and stop tasks. What was
// acknowledged is there, what runs was run once and says everything once, what
// ended tells its code, and the host holds what the running tasks need, and no more.
func TestCrashes(t *testing.T) {
	t.Parallel()
	seed := crashSeed(t)
	rng := rand.New(rand.NewPCG(seed, 0))
	h := newHost(t)
	h.settle(t, rng)
	definitions := map[string]string{}
	for kind, containers := range crashKinds {
		definitions[kind] = h.register(t, containers(), func(in *ecs.RegisterTaskDefinitionInput) { in.Family = aws.String("crash-" + kind) })
	}
	group := h.group(t, "--protocol tcp --port 8080 --cidr 0.0.0.0/0")
	subnets := h.subnets(t)

	jobs := crashJobs(rng, seed)
	crashing, calm := context.WithCancel(t.Context())
	defer calm()
	ctx, giveUp := context.WithCancel(t.Context()) // when Berth doesn't start again
	defer giveUp()
	crashed := make(chan error, 1)
	var kills int
	go func() {
		var err error
		kills, err = h.crash(crashing, rand.New(rand.NewPCG(seed, 1)))
		if err != nil {
			giveUp()
		}
		crashed <- err
	}()
	began := time.Now()
	queue := make(chan *crashJob, len(jobs))
	for _, j := range jobs {
		queue <- j
	}
	close(queue)
	var clients sync.WaitGroup
	for c := range crashClients {
		clients.Go(func() {
			for j := range queue {
				if err := h.do(ctx, j, definitions[j.kind], subnets[c%len(subnets)], group); err != nil {
					t.Errorf("%s %s: %v", j.kind, j.token, err)
				}
			}
		})
	}
	clients.Wait()
	calm()
	if err := <-crashed; err != nil {
		t.Fatal(err)
	}
	t.Logf("%d tasks and %d kills in %v", len(jobs), kills, time.Since(began).Round(time.Millisecond))
	if t.Failed() {
		return
	}
	h.settled(t, jobs)
	h.checkJobs(t, jobs)
	h.checkHost(t, jobs)
}

// settle gives the installation a port of its own, which it keeps.
func (h *host) settle(t *testing.T, rng *rand.Rand) {
	t.Helper()
	for range 20 {
		address := fmt.Sprintf("127.0.0.1:%d", 20_000+rng.IntN(10_000))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			h.listen = address
			break
		}
	}
	h.kill()
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
}

// crash kills Berth and starts it again, over and over until ctx ends, and
// leaves it running. It counts the kills.
func (h *host) crash(ctx context.Context, rng *rand.Rand) (kills int, err error) {
	for {
		life := time.Duration(rng.IntN(700)) * time.Millisecond // some don't get ready
		if rng.IntN(3) > 0 {
			if err := h.ready(); err != nil {
				return kills, err
			}
			life = time.Duration(20+rng.IntN(600)) * time.Millisecond
		}
		done := false
		select {
		case <-h.exited:
			return kills, fmt.Errorf("berth ended by itself: %v\n%s", h.cmd.ProcessState, h.output())
		case <-time.After(life):
		case <-ctx.Done():
			done = true
		}
		h.kill()
		kills++
		if err := h.spawn(); err != nil {
			return kills, err
		}
		if done {
			return kills, h.ready()
		}
	}
}

// insist calls until an answer comes. Calls that a kill cut off are made again;
// an answer that is an error is returned.
func insist(ctx context.Context, call func(context.Context) error) error {
	for {
		once, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := call(once)
		cancel()
		var answer smithy.APIError
		if err == nil || errors.As(err, &answer) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func once(o *ecs.Options) { o.Retryer = aws.NopRetryer{} }

// do runs a job's task, and stops it when its time has come.
func (h *host) do(ctx context.Context, j *crashJob, definition, subnet, group string) error {
	in := &ecs.RunTaskInput{
		TaskDefinition: &definition, LaunchType: types.LaunchTypeFargate, ClientToken: &j.token,
		NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: []string{subnet}, SecurityGroups: []string{group}}},
	}
	if j.kind == "exiter" {
		in.Overrides = &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{
			Name: aws.String("main"), Command: []string{"begin", "sleep=" + j.sleep.String(), "print=end", fmt.Sprintf("exit=%d", j.code)},
		}}}
	}
	err := insist(ctx, func(ctx context.Context) error {
		out, err := h.ecs.RunTask(ctx, in, once)
		if err != nil {
			return err
		}
		if len(out.Tasks) != 1 {
			return &smithy.GenericAPIError{Code: "NotPlaced", Message: fmt.Sprint(out.Failures)}
		}
		j.arn = *out.Tasks[0].TaskArn
		return nil
	})
	if err != nil || j.after < 0 {
		return err
	}
	<-time.After(j.after)
	err = insist(ctx, func(ctx context.Context) error {
		_, err := h.ecs.StopTask(ctx, &ecs.StopTaskInput{Task: &j.arn}, once)
		return err
	})
	j.stop = err == nil
	return err
}

// runs reports whether the job's task is meant to run for ever.
func (j *crashJob) runs() bool { return !j.stop && j.kind != "exiter" }

// settled waits until each task is where it is meant to be.
func (h *host) settled(t *testing.T, jobs []*crashJob) {
	t.Helper()
	var arns []string
	byARN := map[string]*crashJob{}
	for _, j := range jobs {
		if byARN[j.arn] != nil {
			t.Fatalf("%s and %s were answered with the same task %s", j.token, byARN[j.arn].token, j.arn)
		}
		arns, byARN[j.arn] = append(arns, j.arn), j
	}
	eventually(t, time.Minute, func() error {
		out, err := h.ecs.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Tasks: arns})
		if err != nil {
			return err
		}
		if len(out.Failures) > 0 {
			t.Fatalf("%d acknowledged tasks are missing: %s", len(out.Failures), *out.Failures[0].Arn)
		}
		var late []string
		for _, task := range out.Tasks {
			j := byARN[*task.TaskArn]
			j.task = task
			want := "STOPPED"
			if j.runs() {
				want = "RUNNING"
			}
			if got := *task.LastStatus; got != want {
				if got == "STOPPED" {
					t.Fatalf("%s %s was not to stop: %s %s\n%s%s", j.kind, j.arn, task.StopCode, aws.ToString(task.StoppedReason), reasons(task), h.outputs(t, task))
				}
				late = append(late, fmt.Sprintf("%s %s is %s, not %s", j.kind, j.arn, got, want))
			}
		}
		if len(late) > 0 {
			return errors.New(strings.Join(late, "\n"))
		}
		return nil
	})
	listed := 0
	for _, status := range []types.DesiredStatus{types.DesiredStatusRunning, types.DesiredStatusStopped} {
		for p := ecs.NewListTasksPaginator(h.ecs, &ecs.ListTasksInput{DesiredStatus: status}); p.HasMorePages(); {
			page, err := p.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			listed += len(page.TaskArns)
		}
	}
	if listed != len(jobs) {
		t.Errorf("%d tasks are listed, %d were launched", listed, len(jobs))
	}
}

// outputs is what the containers of a task have written, for people.
func (h *host) outputs(t *testing.T, task types.Task) string {
	var b strings.Builder
	for _, c := range task.Containers {
		lines, err := h.lines(t.Context(), *task.TaskArn, *c.Name)
		fmt.Fprintf(&b, "%s wrote %.500q %v\n", *c.Name, lines, err)
	}
	return b.String()
}

// checkJobs checks each task's end, or that it works, and what it has said.
func (h *host) checkJobs(t *testing.T, jobs []*crashJob) {
	t.Helper()
	for i, j := range jobs {
		task := j.task
		address := detail(t, task, "privateIPv4Address")
		for _, other := range jobs[:i] {
			o := other.task
			overlap := (o.StoppedAt == nil || task.CreatedAt.Before(*o.StoppedAt)) && (task.StoppedAt == nil || o.CreatedAt.Before(*task.StoppedAt))
			if overlap && detail(t, o, "privateIPv4Address") == address {
				t.Errorf("%s and %s had %s at the same time", j.arn, other.arn, address)
			}
		}
		if !j.runs() {
			if err := j.ended(); err != nil {
				t.Errorf("%s %s, stopped by the user %v: %v: %s %q\n%s", j.kind, j.arn, j.stop, err, task.StopCode, aws.ToString(task.StoppedReason), reasons(task))
			}
		} else if j.kind == "dripper" {
			if _, err := fetch(t.Context(), "http://"+address+":8080/"); err != nil {
				t.Errorf("%s %s runs but doesn't answer: %v", j.kind, j.arn, err)
			}
		}
		for _, c := range task.Containers {
			if err := h.checkOutput(t, j, c); err != nil {
				t.Errorf("%s %s, container %s (%s, exit code %v): %v", j.kind, j.arn, *c.Name, *c.LastStatus, c.ExitCode != nil, err)
			}
		}
	}
}

// untaken is the exit code of a program in Go that is PID 1 and gets SIGTERM
// before it has asked for signals: the kernel spares PID 1 a signal's default
// action, and Go's runtime then exits by itself.
const untaken = 2

// ended checks how a task ended.
func (j *crashJob) ended() error {
	switch j.task.StopCode {
	case types.TaskStopCodeUserInitiated:
		if !j.stop {
			return errors.New("nobody stopped it")
		}
	case types.TaskStopCodeEssentialContainerExited:
		if j.kind != "exiter" {
			return errors.New("it does not end by itself")
		}
	default:
		return errors.New("no reason to stop")
	}
	for _, c := range j.task.Containers {
		if c.RuntimeId == nil {
			if !j.stop {
				return fmt.Errorf("%s was not started", *c.Name)
			}
			continue
		}
		if c.ExitCode == nil {
			// Stopped after it was made and before it was started.
			if !j.stop || c.Reason != nil {
				return fmt.Errorf("%s has no exit code", *c.Name)
			}
			continue
		}
		want := j.code
		if j.kind == "stubborn" {
			want = 137
		}
		if got := *c.ExitCode; got != want && !(j.stop && got == untaken) {
			return fmt.Errorf("%s ended with %d, want %d", *c.Name, got, want)
		}
	}
	return nil
}

// checkOutput checks that a container was run once and that its log has all it
// wrote, once and in order.
func (h *host) checkOutput(t *testing.T, j *crashJob, c types.Container) error {
	lines, err := h.lines(t.Context(), j.arn, *c.Name)
	if err != nil {
		if c.RuntimeId == nil || c.ExitCode == nil {
			return nil // no stream, for what has not run
		}
		return err
	}
	ran := *c.LastStatus == "RUNNING" || c.ExitCode != nil
	if !ran || c.ExitCode != nil && *c.ExitCode == untaken {
		if len(lines) > 2 {
			return fmt.Errorf("it has said %q", lines)
		}
		return nil
	}
	if *c.LastStatus == "RUNNING" {
		// It may just begin.
		eventually(t, 10*time.Second, func() error {
			if lines, err = h.lines(t.Context(), j.arn, *c.Name); err == nil && len(lines) < 1 {
				err = fmt.Errorf("%s %s has said nothing", j.kind, j.arn)
			}
			return err
		})
	}
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "begin ") {
		return fmt.Errorf("it begins with %.200q", lines)
	}
	var want []string // of an ended one
	switch {
	case j.kind == "dripper" && *c.Name == "main":
		last := len(lines)
		if c.ExitCode != nil {
			if last--; lines[last] != "got terminated" {
				return fmt.Errorf("the last line is %q", lines[last])
			}
		}
		for i, l := range lines[1:last] {
			if l != fmt.Sprintf("line %d", i) {
				return fmt.Errorf("after %d lines comes %q", i, l)
			}
		}
		if c.ExitCode == nil {
			eventually(t, 10*time.Second, func() error {
				more, err := h.lines(t.Context(), j.arn, *c.Name)
				if err == nil && len(more) <= len(lines) {
					err = fmt.Errorf("%s writes no more: %d lines", j.arn, len(more))
				}
				return err
			})
		}
		return nil
	case j.kind == "exiter":
		want = []string{"end"}
	case *c.Name == "first":
		want = []string{"done"}
	case j.kind == "stubborn":
		want = []string{"ignored terminated"}
	default:
		want = []string{"got terminated"}
	}
	if *c.LastStatus == "RUNNING" {
		want = nil
	}
	got := lines[1:]
	if j.kind == "stubborn" {
		// A Berth that was killed while it stopped the task sends the signal again.
		for len(got) > 1 && got[len(got)-1] == want[0] {
			got = got[:len(got)-1]
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		return fmt.Errorf("after begin it has said %q, want %q", got, want)
	}
	return nil
}

// checkHost checks that the host has what running tasks need and no more.
func (h *host) checkHost(t *testing.T, jobs []*crashJob) {
	t.Helper()
	var running []types.Task
	for _, j := range jobs {
		if j.runs() {
			running = append(running, j.task)
		}
	}
	want := heldBy(running)
	// What a stopped task leaves is removed behind its STOPPED.
	eventually(t, 20*time.Second, func() error {
		have, err := holdings(h.id(), h.dir)
		if err == nil {
			if d := difference(have, want); d != "" {
				err = errors.New(d)
			}
		}
		return err
	})
	var out struct {
		NetworkInterfaces []struct{ PrivateIpAddress string }
	}
	if err := json.Unmarshal([]byte(h.aws(t, "ec2", "describe-network-interfaces")), &out); err != nil {
		t.Fatal(err)
	}
	addresses := map[string]bool{}
	for _, n := range out.NetworkInterfaces {
		addresses[n.PrivateIpAddress] = true
	}
	for _, task := range running {
		if a := detail(t, task, "privateIPv4Address"); !addresses[a] {
			t.Errorf("no interface shows the address %s of %s", a, *task.TaskArn)
		}
	}
	if len(out.NetworkInterfaces) != len(running) || len(addresses) != len(running) {
		t.Errorf("there are %d interfaces with %d addresses, and %d tasks run", len(out.NetworkInterfaces), len(addresses), len(running))
	}
}
