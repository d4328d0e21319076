package ecs

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func TestClusterQueries(t *testing.T) {
	client, _ := withNode(t)
	ctx := t.Context()
	register := func(in *ecs.RegisterTaskDefinitionInput) error {
		in.Family, in.RequiresCompatibilities = aws.String("f"), []types.Compatibility{"EC2"}
		in.ContainerDefinitions = []types.ContainerDefinition{{Name: aws.String("web"), Image: aws.String("web"), Memory: aws.Int32(10)}}
		_, err := client.RegisterTaskDefinition(ctx, in)
		return err
	}
	constraint := func(kind, expression string) []types.TaskDefinitionPlacementConstraint {
		return []types.TaskDefinitionPlacementConstraint{{Type: types.TaskDefinitionPlacementConstraintType(kind), Expression: &expression}}
	}
	refused(t, register(&ecs.RegisterTaskDefinitionInput{PlacementConstraints: constraint("distinctInstance", "")}), "ClientException", "Create TaskDefinition: constraint.type 'distinctInstance' is not supported.")
	refused(t, register(&ecs.RegisterTaskDefinitionInput{PlacementConstraints: constraint("memberOf", "attribute:rack = 1")}), "ClientException", `column 16: expected an operator after "attribute:rack", not "="`)
	if err := register(&ecs.RegisterTaskDefinitionInput{PlacementConstraints: constraint("memberOf", "attribute:rack >= 1")}); err != nil {
		t.Fatal(err)
	}
	arn := *must(client.RegisterContainerInstance(ctx, &ecs.RegisterContainerInstanceInput{Attributes: []types.Attribute{{Name: aws.String("rack"), Value: aws.String("0")}}}))(t).ContainerInstance.ContainerInstanceArn
	run := func(constraints ...types.PlacementConstraint) *ecs.RunTaskOutput {
		return must(client.RunTask(ctx, &ecs.RunTaskInput{TaskDefinition: aws.String("f"), Group: aws.String("g"), PlacementConstraints: constraints}))(t)
	}
	if out := run(); len(out.Failures) != 1 || *out.Failures[0].Reason != "MemberOf placement constraint unsatisfied." || *out.Failures[0].Arn != arn ||
		*out.Failures[0].Detail != `the instance is one of those for which attribute:rack >= "1" does not hold` {
		t.Errorf("%+v", out.Failures)
	}
	must(client.PutAttributes(ctx, &ecs.PutAttributesInput{Attributes: []types.Attribute{{Name: aws.String("rack"), Value: aws.String("2"), TargetId: &arn}}}))(t)
	memberOf := func(text string) types.PlacementConstraint {
		return types.PlacementConstraint{Type: types.PlacementConstraintTypeMemberOf, Expression: &text}
	}
	if out := run(memberOf("runningTasksCount == 0 and not task:group == g")); len(out.Tasks) != 1 {
		t.Errorf("%+v", out)
	}
	if out := run(memberOf("not task:group == g")); len(out.Failures) != 1 || *out.Failures[0].Reason != "MemberOf placement constraint unsatisfied." {
		t.Errorf("%+v", out)
	}
	if out := run(types.PlacementConstraint{Type: types.PlacementConstraintTypeDistinctInstance}); len(out.Failures) != 1 || *out.Failures[0].Reason != "DistinctInstance placement constraint unsatisfied." {
		t.Errorf("%+v", out)
	}
	_, err := client.RunTask(ctx, &ecs.RunTaskInput{TaskDefinition: aws.String("f"), PlacementConstraints: []types.PlacementConstraint{{Type: "distinctInstance", Expression: aws.String("a")}}})
	refused(t, err, "InvalidParameterException", "distinctInstance expression should not be specified.")
	for filter, want := range map[string]int{"attribute:rack == 2": 1, "attribute:rack == 3": 0, "task:group == g and pendingTasksCount == 1": 1, "runningTasksCount > 0": 0} {
		if out := must(client.ListContainerInstances(ctx, &ecs.ListContainerInstancesInput{Filter: &filter}))(t); len(out.ContainerInstanceArns) != want {
			t.Errorf("%s: %v, want %d", filter, out.ContainerInstanceArns, want)
		}
	}
	_, err = client.ListContainerInstances(ctx, &ecs.ListContainerInstancesInput{Filter: aws.String("rack")})
	refused(t, err, "InvalidParameterException", `Invalid filter "rack": column 1: unknown subject "rack"`)
}
