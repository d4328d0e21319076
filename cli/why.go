package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Why says why a task waits, or stopped, or what a service waits for.
type Why struct {
	Task     string `arg:"" help:"The task's ID, the beginning of it, or its ARN; or the ARN of a service."`
	Timeline bool   `help:"Show how long each step of the launch took."`
	JSON     bool   `help:"Print JSON."`
}

// Run says it.
func (c Why) Run(g *Globals) error {
	a, err := g.api()
	if err != nil {
		return err
	}
	if isService(c.Task) {
		return c.service(g, a)
	}
	t, err := a.task(g.Context, c.Task)
	if err != nil {
		return err
	}
	words, steps := why(t, time.Now()), timeline(t)
	if c.JSON {
		e := json.NewEncoder(g.Out)
		e.SetIndent("", "  ")
		return e.Encode(struct {
			Task     string   `json:"task"`
			Status   string   `json:"status"`
			Why      []string `json:"why"`
			Timeline []step   `json:"timeline"`
		}{last(*t.TaskArn), aws.ToString(t.LastStatus), words, steps})
	}
	fmt.Fprintf(g.Out, "Task %s of %s in cluster %s is %s.\n", last(*t.TaskArn), last(*t.TaskDefinitionArn), last(*t.ClusterArn), aws.ToString(t.LastStatus))
	for _, w := range words {
		fmt.Fprintln(g.Out, "  "+w)
	}
	if !c.Timeline {
		return nil
	}
	w := tabwriter.NewWriter(g.Out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\nAFTER\tTOOK\t  STEP")
	for _, s := range steps {
		fmt.Fprintf(w, "%.1f ms\t%s\t  %s\n", s.After, took(s), s.Step)
	}
	return w.Flush()
}

// why is the task's condition in words.
func why(t types.Task, now time.Time) []string {
	switch status := aws.ToString(t.LastStatus); {
	case status == stopped:
		return whyStopped(t)
	case aws.ToString(t.DesiredStatus) == stopped:
		words := []string{"It is being stopped" + because(t)}
		for _, c := range t.Containers {
			if aws.ToString(c.LastStatus) == running {
				words = append(words, fmt.Sprintf("Container %s still runs: it has its stop timeout from SIGTERM to SIGKILL.", aws.ToString(c.Name)))
			}
		}
		return words
	case status == running:
		words := []string{"It has run for " + span(*t.StartedAt, now) + "."}
		for _, c := range t.Containers {
			words = append(words, whyContainer(c)...)
		}
		return words
	}
	return whyPending(t, now)
}

// whyPending says what a task that doesn't run yet waits for, from the times
// that it has.
func whyPending(t types.Task, now time.Time) []string {
	words := []string{"It has been on its node for " + span(*t.CreatedAt, now) + "."}
	if t.ConnectivityAt == nil {
		words = append(words, "It waits for its network interface.")
	}
	switch {
	case t.PullStartedAt == nil:
		words = append(words, "Its node has not begun to pull its images.")
	case t.PullStoppedAt == nil:
		var images []string
		for _, c := range t.Containers {
			if c.ImageDigest == nil {
				images = append(images, aws.ToString(c.Image))
			}
		}
		words = append(words, fmt.Sprintf("Its node has been pulling for %s: %s.", span(*t.PullStartedAt, now), strings.Join(images, ", ")))
	default:
		for _, c := range t.Containers {
			if aws.ToString(c.LastStatus) == "PENDING" {
				words = append(words, fmt.Sprintf("Container %s has not started: it is being made, or waits for what it depends on.", aws.ToString(c.Name)))
			}
		}
	}
	for _, c := range t.Containers {
		words = append(words, whyContainer(c)...)
	}
	return words
}

// whyStopped says why a task ended.
func whyStopped(t types.Task) []string {
	words := []string{}
	switch t.StopCode {
	case types.TaskStopCodeUserInitiated:
		words = append(words, "Somebody asked for its end"+because(t))
	case types.TaskStopCodeEssentialContainerExited:
		words = append(words, "A container that it can't be without has ended.")
	case types.TaskStopCodeTaskFailedToStart:
		words = append(words, "It could not be started"+because(t))
	case types.TaskStopCodeSpotInterruption:
		words = append(words, "Its capacity was taken back"+because(t))
	default:
		words = append(words, "It ended"+because(t))
	}
	for _, c := range t.Containers {
		words = append(words, whyContainer(c)...)
	}
	return append(words, hints(t)...)
}

func because(t types.Task) string {
	if r := strings.TrimSuffix(aws.ToString(t.StoppedReason), "."); r != "" {
		return ": " + r + "."
	}
	return "."
}

// whyContainer says what is worth knowing of a container, if anything is.
func whyContainer(c types.Container) []string {
	name, status := aws.ToString(c.Name), aws.ToString(c.LastStatus)
	var words []string
	switch code := c.ExitCode; {
	case status == stopped && code == nil:
		words = append(words, fmt.Sprintf("Container %s never ran%s", name, reason(c)))
	case status == stopped && *code > 128 && *code < 160:
		words = append(words, fmt.Sprintf("Container %s was ended by signal %d (exit code %d)%s", name, *code-128, *code, reason(c)))
	case status == stopped:
		words = append(words, fmt.Sprintf("Container %s ended with exit code %d%s", name, *code, reason(c)))
	case c.HealthStatus == types.HealthStatusUnhealthy:
		words = append(words, fmt.Sprintf("Container %s is UNHEALTHY: its health check fails.", name))
	}
	return words
}

func reason(c types.Container) string {
	if r := strings.TrimSuffix(aws.ToString(c.Reason), "."); r != "" {
		return ": " + r + "."
	}
	return "."
}

// hints say what to do about the ends that are common.
func hints(t types.Task) []string {
	all := aws.ToString(t.StoppedReason)
	for _, c := range t.Containers {
		all += " " + aws.ToString(c.Reason)
	}
	var words []string
	for _, h := range []struct{ has, hint string }{
		{"OutOfMemory", "It needed more memory than it may have: raise memory in the task definition, or the container's own limit."},
		{"CannotPull", "See that the image's name is right and its registry can be reached from the node; 'berth image ls' lists what is there already."},
		{"exec format error", "The image is for another CPU architecture than the node's."},
		{"executable file not found", "The image has no such program: look at entryPoint and command."},
		{"no such file or directory", "The image lacks a file that the command needs: look at entryPoint, command and workingDirectory."},
		{"Permission denied", "The program may not be run by the container's user: look at the file's mode and at user."},
	} {
		if strings.Contains(strings.ToLower(all), strings.ToLower(h.has)) {
			words = append(words, h.hint)
			break
		}
	}
	return words
}

func span(at, now time.Time) string { return now.Sub(at).Round(time.Second / 10).String() }

// step is one of a launch: when it began and how long it took, in milliseconds.
type step struct {
	Step  string   `json:"step"`
	After float64  `json:"afterMs"`
	Took  *float64 `json:"tookMs,omitempty"`
}

func took(s step) string {
	if s.Took == nil {
		return ""
	}
	return fmt.Sprintf("%.1f ms", *s.Took)
}

// timelineAttribute begins the names of the attributes in which Berth says how
// long a task's steps took: berth.step.NN.STEP[.CONTAINER] is "AFTER+TOOK", in
// microseconds, after the task was created.
const timelineAttribute = "berth.step."

// timeline is what is known of a task's launch, in its order.
func timeline(t types.Task) []step {
	var steps []step
	for _, a := range t.Attributes {
		name, ok := strings.CutPrefix(aws.ToString(a.Name), timelineAttribute)
		var after, took int64
		if !ok {
			continue
		}
		if _, err := fmt.Sscanf(aws.ToString(a.Value), "%d+%d", &after, &took); err != nil {
			continue
		}
		_, name, _ = strings.Cut(name, ".")
		ms := float64(took) / 1000
		steps = append(steps, step{Step: strings.Replace(name, ".", " ", 1), After: float64(after) / 1000, Took: &ms})
	}
	for _, at := range []struct {
		name string
		time *time.Time
	}{{"RUNNING", t.StartedAt}, {"STOPPING", t.StoppingAt}, {"STOPPED", t.StoppedAt}} {
		if at.time != nil {
			steps = append(steps, step{Step: at.name, After: float64(at.time.Sub(*t.CreatedAt).Microseconds()) / 1000})
		}
	}
	return steps
}
