package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logstypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
	"golang.org/x/sys/unix"
)

// A disk that is full: what can't be kept is refused, what runs goes on, and
// with room again everything that was acknowledged is there.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	top, err := os.MkdirTemp("", "berth-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(top, "disk")
	if err := os.Mkdir(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	// The store's log alone takes 128 MiB ahead of its use, and images leave 256 MiB free.
	if err := unix.Mount("berth-e2e", dir, "tmpfs", 0, "size=512m,mode=711"); err != nil {
		t.Fatalf("mount a small disk on %s: %v", dir, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
		os.RemoveAll(top)
	})
	h := newHostIn(t, filepath.Join(dir, "data"))
	group := h.group(t, "--protocol tcp --port 8080 --cidr 0.0.0.0/0")
	running := h.run(t, h.register(t, []types.ContainerDefinition{container("web", "serve=8080"), container("main", "drip=40")}), withGroups(group))
	running = h.await(t, *running.TaskArn, "RUNNING")
	address := detail(t, running, "privateIPv4Address")
	stream := &cloudwatchlogs.PutLogEventsInput{LogGroupName: aws.String("full"), LogStreamName: aws.String("s")}
	if _, err := h.logs.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: stream.LogGroupName}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.logs.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: stream.LogGroupName, LogStreamName: stream.LogStreamName}); err != nil {
		t.Fatal(err)
	}

	put := func(message string) error {
		_, err := h.logs.PutLogEvents(t.Context(), &cloudwatchlogs.PutLogEventsInput{LogGroupName: stream.LogGroupName, LogStreamName: stream.LogStreamName,
			LogEvents: []logstypes.InputLogEvent{{Message: &message, Timestamp: aws.Int64(time.Now().UnixMilli())}}},
			func(o *cloudwatchlogs.Options) { o.Retryer = aws.NopRetryer{} })
		return err
	}

	filler := filepath.Join(dir, "filler")
	if err := fill(filler); err != nil {
		t.Fatal(err)
	}
	var definitions, lines []string
	refused := map[string]error{}
	long := strings.Repeat("x", 30_000)
	for i := 0; i < 300 && len(refused) < 2; i++ {
		if refused["RegisterTaskDefinition"] == nil {
			web := container("main", "wait")
			web.Environment = []types.KeyValuePair{{Name: aws.String("LONG"), Value: &long}}
			out, err := h.ecs.RegisterTaskDefinition(t.Context(), &ecs.RegisterTaskDefinitionInput{
				Family: aws.String("full"), NetworkMode: types.NetworkModeAwsvpc, RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
				Cpu: aws.String("256"), Memory: aws.String("512"), ContainerDefinitions: []types.ContainerDefinition{web},
			}, once)
			if err != nil {
				refused["RegisterTaskDefinition"] = err
			} else {
				definitions = append(definitions, *out.TaskDefinition.TaskDefinitionArn)
			}
		}
		if refused["PutLogEvents"] == nil {
			message := fmt.Sprintf("%d %s", i, long)
			err := put(message)
			if err != nil {
				refused["PutLogEvents"] = err
			} else {
				lines = append(lines, message)
			}
		}
	}
	t.Logf("on the full disk %d definitions and %d log events were acknowledged, then: %v", len(definitions), len(lines), refused)
	for _, what := range []string{"RegisterTaskDefinition", "PutLogEvents"} {
		var answer smithy.APIError
		if err := refused[what]; !errors.As(err, &answer) || answer.ErrorFault() == smithy.FaultClient {
			t.Errorf("%s on the full disk: %v, want an answer that blames the server", what, err)
		}
	}
	if task, err := h.described(t.Context(), *running.TaskArn); err != nil || *task.LastStatus != "RUNNING" {
		t.Errorf("reading on the full disk: %v, %v", task.LastStatus, err)
	}
	if _, err := fetch(t.Context(), "http://"+address+":8080/"); err != nil {
		t.Errorf("the running task doesn't answer: %v", err)
	}
	<-time.After(time.Second) // the task writes some forty lines that can't be kept
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	// With room again it works again, this process and the next one.
	idle := h.register(t, []types.ContainerDefinition{container("main", "wait")})
	if err := put("with room again"); err != nil {
		t.Errorf("PutLogEvents with room again: %v", err)
	}
	lines = append(lines, "with room again")
	shipped, err := h.lines(t.Context(), *running.TaskArn, "main")
	if err != nil {
		t.Fatal(err)
	}
	after := len(shipped)
	eventually(t, 20*time.Second, func() error {
		if shipped, err = h.lines(t.Context(), *running.TaskArn, "main"); err == nil && len(shipped) <= after {
			err = fmt.Errorf("the running task's output isn't shipped any more, after %q", shipped[max(0, after-3):])
		}
		return err
	})
	// The line that was being written when the disk was full may be cut off, and
	// those after it were never written; the others are whole and in order.
	last, damaged := -1, 0
	for _, l := range shipped {
		var n int
		if _, err := fmt.Sscanf(l, "line %d", &n); err != nil || n <= last || n > last+5000 {
			t.Logf("after line %d the task's output has %q", last, l)
			damaged++
			continue
		}
		last = n
	}
	if damaged > 1 {
		t.Errorf("%d lines of the task's output are damaged", damaged)
	}
	select {
	case <-h.exited:
		t.Errorf("berth ended: %v", h.cmd.ProcessState)
	default:
	}
	h.kill()
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	h.await(t, *running.TaskArn, "RUNNING")
	if _, err := fetch(t.Context(), "http://"+address+":8080/"); err != nil {
		t.Errorf("after the restart the running task doesn't answer: %v", err)
	}
	for _, d := range definitions {
		if _, err := h.ecs.DescribeTaskDefinition(t.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: &d}); err != nil {
			t.Errorf("an acknowledged definition: %v", err)
		}
	}
	have := map[string]bool{}
	for p := cloudwatchlogs.NewGetLogEventsPaginator(h.logs, &cloudwatchlogs.GetLogEventsInput{LogGroupName: stream.LogGroupName, LogStreamName: stream.LogStreamName, StartFromHead: aws.Bool(true)}); p.HasMorePages(); {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			have[*e.Message] = true
		}
		if len(page.Events) == 0 {
			break
		}
	}
	for i, l := range lines {
		if !have[l] {
			t.Errorf("acknowledged log event %d is gone", i)
		}
	}
	// And it works again.
	task := h.run(t, idle)
	h.await(t, *task.TaskArn, "RUNNING")
	h.stop(t, *task.TaskArn)
}

// fill writes a file until the disk has no room.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, unix.ENOSPC) {
			size /= 2
		} else if err != nil {
			return err
		}
	}
	return nil
}
