package ecs

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/store"
)

// On container instances a definition's architecture keeps tasks from instances
// of others, and one that has none goes to any.
func TestArchitecture(t *testing.T) {
	client, s := withNode(t)
	ctx := t.Context()
	if err := s.Update(ctx, func(tx *store.Tx) error {
		for n := range store.Nodes.All(tx) {
			arm := *n
			arm.Arch = "ARM64"
			store.Nodes.Put(tx, &arm)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	arn := *must(client.RegisterContainerInstance(ctx, &ecs.RegisterContainerInstanceInput{}))(t).ContainerInstance.ContainerInstanceArn
	for arch, fits := range map[types.CPUArchitecture]bool{"": true, types.CPUArchitectureArm64: true, types.CPUArchitectureX8664: false} {
		in := &ecs.RegisterTaskDefinitionInput{
			Family: aws.String("f"), RequiresCompatibilities: []types.Compatibility{"EC2"},
			ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("web"), Image: aws.String("web"), Memory: aws.Int32(10)}},
		}
		if arch != "" {
			in.RuntimePlatform = &types.RuntimePlatform{CpuArchitecture: arch}
		}
		must(client.RegisterTaskDefinition(ctx, in))(t)
		out := must(client.RunTask(ctx, &ecs.RunTaskInput{TaskDefinition: aws.String("f")}))(t)
		switch {
		case fits != (len(out.Tasks) == 1):
			t.Errorf("%q: %+v", arch, out)
		case fits && *out.Tasks[0].Attributes[0].Value != "arm64":
			t.Errorf("%q: the task is %+v", arch, out.Tasks[0].Attributes)
		case !fits && (*out.Failures[0].Arn != arn || *out.Failures[0].Reason != "ATTRIBUTE" || !strings.Contains(*out.Failures[0].Detail, "of another CPU architecture than X86_64")):
			t.Errorf("%q: %+v", arch, out.Failures)
		}
	}
}
