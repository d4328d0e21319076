package ecs

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

const groupARN = "arn:aws:autoscaling:us-east-1:000000000000:autoScalingGroup:1:autoScalingGroupName/"

func TestCapacityProviderLife(t *testing.T) {
	client, _ := withNode(t)
	ctx := t.Context()
	create := func(name string, change func(*types.AutoScalingGroupProvider)) (*types.CapacityProvider, error) {
		g := &types.AutoScalingGroupProvider{AutoScalingGroupArn: aws.String(groupARN + name)}
		change(g)
		out, err := client.CreateCapacityProvider(ctx, &ecs.CreateCapacityProviderInput{Name: &name, AutoScalingGroupProvider: g, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}})
		if err != nil {
			return nil, err
		}
		return out.CapacityProvider, nil
	}
	plain := func(*types.AutoScalingGroupProvider) {}
	for _, c := range []struct {
		name       string
		change     func(*types.AutoScalingGroupProvider)
		code, want string
	}{
		{"ecs-1", plain, "ClientException", `The name cannot be prefixed with "aws", "ecs", or "fargate".`},
		{"a b", plain, "ClientException", "name is invalid"},
		{"a", func(g *types.AutoScalingGroupProvider) { g.AutoScalingGroupArn = aws.String("group") }, "ClientException", "The specified Auto Scaling group ARN is invalid"},
		{"a", func(g *types.AutoScalingGroupProvider) { g.ManagedTerminationProtection = "ENABLED" }, "ClientException", "managed scaling must be enabled"},
		{"a", func(g *types.AutoScalingGroupProvider) { g.ManagedDraining = "SOMETIMES" }, "InvalidParameterException", "managedDraining"},
		{"a", func(g *types.AutoScalingGroupProvider) {
			g.ManagedScaling = &types.ManagedScaling{TargetCapacity: aws.Int32(101)}
		}, "InvalidParameterException", "targetCapacity: it must be between 1 and 100, not 101"},
		{"a", func(g *types.AutoScalingGroupProvider) {
			g.ManagedScaling = &types.ManagedScaling{MinimumScalingStepSize: aws.Int32(3), MaximumScalingStepSize: aws.Int32(2)}
		}, "InvalidParameterException", "minimumScalingStepSize must not be more"},
	} {
		_, err := create(c.name, c.change)
		refused(t, err, c.code, c.want)
	}
	p, err := create("a", func(g *types.AutoScalingGroupProvider) {
		g.ManagedScaling = &types.ManagedScaling{Status: "ENABLED", TargetCapacity: aws.Int32(80)}
	})
	if err != nil {
		t.Fatal(err)
	}
	if m := p.AutoScalingGroupProvider.ManagedScaling; *m.TargetCapacity != 80 || *m.MinimumScalingStepSize != 1 || *m.MaximumScalingStepSize != 10000 || *m.InstanceWarmupPeriod != 300 ||
		p.AutoScalingGroupProvider.ManagedDraining != "ENABLED" || p.AutoScalingGroupProvider.ManagedTerminationProtection != "DISABLED" || p.Status != "ACTIVE" || len(p.Tags) != 1 {
		t.Errorf("%+v", p)
	}
	_, err = create("a", plain)
	refused(t, err, "ClientException", "already exists")
	_, err = create("b", func(g *types.AutoScalingGroupProvider) { g.AutoScalingGroupArn = aws.String(groupARN + "a") })
	refused(t, err, "ClientException", "already being used by another capacity provider")
	if _, err = create("b", plain); err != nil {
		t.Fatal(err)
	}
	updated := must(client.UpdateCapacityProvider(ctx, &ecs.UpdateCapacityProviderInput{Name: aws.String("a"), AutoScalingGroupProvider: &types.AutoScalingGroupProviderUpdate{
		ManagedScaling: &types.ManagedScaling{TargetCapacity: aws.Int32(90)}, ManagedTerminationProtection: "ENABLED",
	}}))(t).CapacityProvider
	if m := updated.AutoScalingGroupProvider.ManagedScaling; *m.TargetCapacity != 90 || m.Status != "ENABLED" || updated.UpdateStatus != "UPDATE_COMPLETE" {
		t.Errorf("%+v", updated)
	}
	described := must(client.DescribeCapacityProviders(ctx, &ecs.DescribeCapacityProvidersInput{}))(t)
	if got := fmt.Sprint(names(described.CapacityProviders)); got != "[FARGATE FARGATE_SPOT a b]" {
		t.Errorf("%s", got)
	}
	strategy := func(weights ...any) []types.CapacityProviderStrategyItem {
		var out []types.CapacityProviderStrategyItem
		for i := 0; i < len(weights); i += 2 {
			out = append(out, types.CapacityProviderStrategyItem{CapacityProvider: aws.String(weights[i].(string)), Weight: int32(weights[i+1].(int))})
		}
		return out
	}
	put := func(providers []string, s []types.CapacityProviderStrategyItem) error {
		_, err := client.PutClusterCapacityProviders(ctx, &ecs.PutClusterCapacityProvidersInput{Cluster: aws.String("default"), CapacityProviders: providers, DefaultCapacityProviderStrategy: s})
		return err
	}
	refused(t, put([]string{"FARGATE", "a"}, strategy("FARGATE", 1, "a", 1)), "InvalidParameterException", "cannot contain a mix of capacity providers")
	refused(t, put([]string{"c"}, []types.CapacityProviderStrategyItem{}), "InvalidParameterException", "'c' was not found")
	if err := put([]string{"FARGATE", "a", "b"}, strategy("a", 2, "b", 1)); err != nil {
		t.Fatal(err)
	}
	failed := must(client.DeleteCapacityProvider(ctx, &ecs.DeleteCapacityProviderInput{CapacityProvider: p.CapacityProviderArn}))(t).CapacityProvider
	if failed.UpdateStatus != "DELETE_FAILED" || failed.Status != "ACTIVE" || !strings.Contains(aws.ToString(failed.UpdateStatusReason), "associated with cluster: default.") {
		t.Errorf("%+v", failed)
	}

	// Tasks go to the instances of their providers.
	_, err = client.RegisterContainerInstance(ctx, &ecs.RegisterContainerInstanceInput{Attributes: []types.Attribute{{Name: aws.String("berth.capacity-provider"), Value: aws.String("FARGATE")}}})
	refused(t, err, "InvalidParameterException", "is not one of an Auto Scaling group")
	i := must(client.RegisterContainerInstance(ctx, &ecs.RegisterContainerInstanceInput{Attributes: []types.Attribute{{Name: aws.String("berth.capacity-provider"), Value: aws.String("a")}}}))(t).ContainerInstance
	if aws.ToString(i.CapacityProviderName) != "a" {
		t.Errorf("%+v", i)
	}
	must(client.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{
		Family: aws.String("f"), ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("web"), Image: aws.String("web"), Memory: aws.Int32(10)}},
	}))(t)
	out := must(client.RunTask(ctx, &ecs.RunTaskInput{TaskDefinition: aws.String("f"), Count: aws.Int32(6)}))(t)
	if len(out.Tasks) != 4 || len(out.Failures) != 2 || *out.Failures[0].Reason != "EMPTY CAPACITY PROVIDER" || out.Tasks[0].LaunchType != "EC2" || *out.Tasks[0].CapacityProviderName != "a" {
		t.Errorf("%d tasks, %+v", len(out.Tasks), out.Failures)
	}
	refused(t, put([]string{"FARGATE"}, []types.CapacityProviderStrategyItem{}), "ResourceInUseException", "in use")
	if err := put([]string{"FARGATE", "a"}, []types.CapacityProviderStrategyItem{}); err != nil {
		t.Fatal(err)
	}
	deleted := must(client.DeleteCapacityProvider(ctx, &ecs.DeleteCapacityProviderInput{CapacityProvider: aws.String("b")}))(t).CapacityProvider
	if deleted.Status != "INACTIVE" || deleted.UpdateStatus != "DELETE_COMPLETE" {
		t.Errorf("%+v", deleted)
	}
	if out := must(client.DescribeCapacityProviders(ctx, &ecs.DescribeCapacityProvidersInput{CapacityProviders: []string{"a", "b"}}))(t); fmt.Sprint(names(out.CapacityProviders)) != "[a]" || len(out.Failures) != 1 || *out.Failures[0].Reason != "MISSING" {
		t.Errorf("%+v", out)
	}
	_, err = client.DeleteCapacityProvider(ctx, &ecs.DeleteCapacityProviderInput{CapacityProvider: aws.String("FARGATE")})
	refused(t, err, "ClientException", "reserved")
	must(client.TagResource(ctx, &ecs.TagResourceInput{ResourceArn: p.CapacityProviderArn, Tags: []types.Tag{{Key: aws.String("more"), Value: aws.String("1")}}}))(t)
	if tags := must(client.ListTagsForResource(ctx, &ecs.ListTagsForResourceInput{ResourceArn: p.CapacityProviderArn}))(t).Tags; len(tags) != 2 {
		t.Errorf("%+v", tags)
	}
}

func names(all []types.CapacityProvider) []string {
	var out []string
	for _, p := range all {
		out = append(out, *p.Name)
	}
	return out
}
