package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"golang.org/x/sys/unix"
)

// A container instance with GPUs gives each container as many as it asks for, and
// their device files alone. The devices are real ones of the kernel, under the
// names of NVIDIA's.
func TestGPUs(t *testing.T) {
	t.Parallel()
	dev := t.TempDir()
	for name, minor := range map[string]uint32{"nvidia0": 3, "nvidia1": 5, "nvidia2": 7, "nvidiactl": 3} {
		path := filepath.Join(dev, name)
		if err := unix.Mknod(path, unix.S_IFCHR, int(unix.Mkdev(1, minor))); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	h := newHost(t, "--gpu-dir", dev)
	ctx := t.Context()
	if out, err := exec.Command(built.berth, "node", "--data-dir", h.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	gpus := func(resources func(types.ContainerInstance) []types.Resource) []string {
		t.Helper()
		list, err := h.ecs.ListContainerInstances(ctx, &ecs.ListContainerInstancesInput{})
		if err != nil {
			t.Fatal(err)
		}
		out, err := h.ecs.DescribeContainerInstances(ctx, &ecs.DescribeContainerInstancesInput{ContainerInstances: list.ContainerInstanceArns})
		if err != nil || len(out.ContainerInstances) != 1 {
			t.Fatalf("%+v, %v", out, err)
		}
		for _, r := range resources(out.ContainerInstances[0]) {
			if aws.ToString(r.Name) == "GPU" {
				return r.StringSetValue
			}
		}
		return nil
	}
	registered := func(i types.ContainerInstance) []types.Resource { return i.RegisteredResources }
	remaining := func(i types.ContainerInstance) []types.Resource { return i.RemainingResources }
	all := gpus(registered)
	if len(all) != 3 || !strings.HasPrefix(all[0], "GPU-") {
		t.Fatalf("the instance has %v", all)
	}
	of := func(name, count string) types.ContainerDefinition {
		c := container(name, "gpus", "wait")
		c.Memory = aws.Int32(64)
		if count != "" {
			c.ResourceRequirements = []types.ResourceRequirement{{Type: types.ResourceTypeGpu, Value: &count}}
		}
		return c
	}
	onEC2 := func(in *ecs.RunTaskInput) {
		in.LaunchType, in.NetworkConfiguration = types.LaunchTypeEc2, nil
	}
	definition := h.register(t, []types.ContainerDefinition{of("one", "1"), of("none", "")}, onInstances(types.NetworkModeBridge))
	out, err := h.tryRun(ctx, definition, onEC2)
	if err != nil || len(out.Tasks) != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	first := h.await(t, *out.Tasks[0].TaskArn, "RUNNING")
	given := named(t, first, "one").GpuIds
	if len(given) != 1 || !slices.Contains(all, given[0]) || len(named(t, first, "none").GpuIds) != 0 {
		t.Errorf("given %v", given)
	}
	numbers := map[string]string{"nvidia0": "1:3", "nvidia1": "1:5", "nvidia2": "1:7"}
	file := fmt.Sprintf("nvidia%d", slices.Index(all, given[0]))
	h.awaitLine(t, *first.TaskArn, "one", fmt.Sprintf("%s %s=%s nvidiactl=1:3", given[0], file, numbers[file]))
	h.awaitLine(t, *first.TaskArn, "none", "unset")
	if left := gpus(remaining); len(left) != 2 || slices.Contains(left, given[0]) {
		t.Errorf("left are %v", left)
	}
	// The rest for one container, by an override; then there is none.
	override := func(in *ecs.RunTaskInput) {
		onEC2(in)
		in.Overrides = &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{
			Name: aws.String("one"), ResourceRequirements: []types.ResourceRequirement{{Type: types.ResourceTypeGpu, Value: aws.String("2")}},
		}}}
	}
	if out, err = h.tryRun(ctx, definition, override); err != nil || len(out.Tasks) != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	second := h.await(t, *out.Tasks[0].TaskArn, "RUNNING")
	if got := named(t, second, "one").GpuIds; len(got) != 2 || slices.Contains(got, given[0]) {
		t.Errorf("the second task has %v, the first %v", got, given)
	}
	if out, err = h.tryRun(ctx, definition, onEC2); err != nil || len(out.Failures) != 1 || aws.ToString(out.Failures[0].Reason) != "RESOURCE:GPU" {
		t.Errorf("without a GPU left: %+v, %v", out, err)
	}
	h.stop(t, *first.TaskArn)
	if out, err = h.tryRun(ctx, definition, onEC2); err != nil || len(out.Tasks) != 1 {
		t.Errorf("after the first has ended: %+v, %v", out, err)
	}
	// Nowhere else.
	for want, in := range map[string]*ecs.RegisterTaskDefinitionInput{
		"Tasks using the Fargate launch type do not support GPU resource requirements.": {
			NetworkMode: types.NetworkModeAwsvpc, RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate}, Cpu: aws.String("256"), Memory: aws.String("512"),
			ContainerDefinitions: []types.ContainerDefinition{of("one", "1")},
		},
		"InferenceAccelerator, is no longer available": {ContainerDefinitions: []types.ContainerDefinition{func() types.ContainerDefinition {
			c := of("one", "")
			c.ResourceRequirements = []types.ResourceRequirement{{Type: types.ResourceTypeInferenceAccelerator, Value: aws.String("device_1")}}
			return c
		}()}},
	} {
		in.Family = aws.String(family(t) + "-refused")
		if _, err := h.ecs.RegisterTaskDefinition(ctx, in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
