package ecs

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// withNode is a client of a cluster "default" on a store with one node.
func withNode(t *testing.T) (*ecs.Client, *store.Store) {
	client, st := newClient(t)
	err := st.Update(t.Context(), func(tx *store.Tx) error {
		store.Nodes.Put(tx, &state.Node{ID: strings.Repeat("0a", 16), Zones: []string{"us-east-1a"}, Arch: "X86_64", CPU: 2048, Memory: 4096, CPUOvercommit: 1, MemoryOvercommit: 1, Status: "READY"})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	must(client.CreateCluster(t.Context(), &ecs.CreateClusterInput{}))(t)
	return client, st
}

func TestInstanceLife(t *testing.T) {
	client, st := withNode(t)
	ctx := t.Context()
	made := must(client.RegisterContainerInstance(ctx, &ecs.RegisterContainerInstanceInput{
		Attributes: []types.Attribute{{Name: aws.String("rack"), Value: aws.String("1")}}, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}},
		TotalResources: []types.Resource{{Name: aws.String("PORTS"), Type: aws.String("STRINGSET"), StringSetValue: []string{"22"}}, {Name: aws.String("CPU"), Type: aws.String("INTEGER"), IntegerValue: 1000}},
	}))(t).ContainerInstance
	if made.RegisteredResources[0].IntegerValue != 1000 || made.RegisteredResources[1].IntegerValue != 4096 || fmt.Sprint(made.RegisteredResources[2].StringSetValue) != "[22]" || *made.Status != "ACTIVE" || !made.AgentConnected {
		t.Errorf("%+v", made)
	}
	arn := *made.ContainerInstanceArn
	again := must(client.RegisterContainerInstance(ctx, &ecs.RegisterContainerInstanceInput{ContainerInstanceArn: &arn}))(t).ContainerInstance
	if *again.ContainerInstanceArn != arn || again.Version <= made.Version || len(again.Tags) != 1 {
		t.Errorf("%+v", again)
	}
	if listed := must(client.ListContainerInstances(ctx, &ecs.ListContainerInstancesInput{Status: types.ContainerInstanceStatusActive}))(t); len(listed.ContainerInstanceArns) != 1 || listed.ContainerInstanceArns[0] != arn {
		t.Errorf("%+v", listed)
	}
	id := arn[strings.LastIndex(arn, "/")+1:]
	shown := must(client.DescribeContainerInstances(ctx, &ecs.DescribeContainerInstancesInput{
		ContainerInstances: []string{id, strings.Repeat("f", 32)}, Include: []types.ContainerInstanceField{"TAGS", "CONTAINER_INSTANCE_HEALTH"},
	}))(t)
	if len(shown.ContainerInstances) != 1 || len(shown.Failures) != 1 || *shown.Failures[0].Reason != "MISSING" || shown.ContainerInstances[0].HealthStatus.OverallStatus != "OK" || len(shown.ContainerInstances[0].Tags) != 1 {
		t.Errorf("%+v", shown)
	}

	target := func(name, value string) []types.Attribute {
		return []types.Attribute{{Name: &name, Value: &value, TargetId: &arn}}
	}
	must(client.PutAttributes(ctx, &ecs.PutAttributesInput{Attributes: target("stack", "prod")}))(t)
	list := func() int {
		return len(must(client.ListAttributes(ctx, &ecs.ListAttributesInput{TargetType: "container-instance", AttributeName: aws.String("stack"), AttributeValue: aws.String("prod")}))(t).Attributes)
	}
	if n := list(); n != 1 {
		t.Errorf("%d attributes, want 1", n)
	}
	must(client.DeleteAttributes(ctx, &ecs.DeleteAttributesInput{Attributes: target("stack", "prod")}))(t)
	if n := list(); n != 0 {
		t.Errorf("%d attributes, want none", n)
	}
	_, err := client.PutAttributes(ctx, &ecs.PutAttributesInput{Attributes: target("ecs.os-type", "x")})
	refused(t, err, "InvalidParameterException", "reserved")
	_, err = client.PutAttributes(ctx, &ecs.PutAttributesInput{Attributes: []types.Attribute{{Name: aws.String("a"), TargetId: aws.String(strings.Repeat("f", 32))}}})
	refused(t, err, "TargetNotFoundException", "Unable to find the target")

	putTask(t, st, &state.Task{Scope: scope, Cluster: "default", ID: strings.Repeat("1", 32), Node: strings.Repeat("0a", 16), ContainerInstance: id, CPU: 100, Memory: 200, Last: state.Running, Desired: state.Running})
	busy := must(client.DescribeContainerInstances(ctx, &ecs.DescribeContainerInstancesInput{ContainerInstances: []string{arn}}))(t).ContainerInstances[0]
	if busy.RunningTasksCount != 1 || busy.RemainingResources[1].IntegerValue != 4096-200 {
		t.Errorf("%+v", busy)
	}
	if c := must(client.DescribeClusters(ctx, &ecs.DescribeClustersInput{}))(t).Clusters[0]; c.RegisteredContainerInstancesCount != 1 || c.RunningTasksCount != 1 {
		t.Errorf("%+v", c)
	}
	_, err = client.UpdateContainerAgent(ctx, &ecs.UpdateContainerAgentInput{ContainerInstance: &arn})
	refused(t, err, "NoUpdateAvailableException", "no update available")
	_, err = client.UpdateContainerAgent(ctx, &ecs.UpdateContainerAgentInput{ContainerInstance: aws.String(strings.Repeat("f", 32))})
	refused(t, err, "InvalidParameterException", "not found")
	drained := must(client.UpdateContainerInstancesState(ctx, &ecs.UpdateContainerInstancesStateInput{ContainerInstances: []string{arn}, Status: "DRAINING"}))(t)
	if *drained.ContainerInstances[0].Status != "DRAINING" {
		t.Errorf("%+v", drained)
	}
	_, err = client.UpdateContainerInstancesState(ctx, &ecs.UpdateContainerInstancesStateInput{ContainerInstances: []string{arn}, Status: "DEREGISTERING"})
	refused(t, err, "InvalidParameterException", "[ACTIVE,DRAINING]")
	_, err = client.DeleteCluster(ctx, &ecs.DeleteClusterInput{Cluster: aws.String("default")})
	refused(t, err, "ClusterContainsTasksException", "")
	_, err = client.DeregisterContainerInstance(ctx, &ecs.DeregisterContainerInstanceInput{ContainerInstance: &arn})
	refused(t, err, "InvalidParameterException", "Found running tasks on the instance.")
	gone := must(client.DeregisterContainerInstance(ctx, &ecs.DeregisterContainerInstanceInput{ContainerInstance: &arn, Force: aws.Bool(true)}))(t)
	if *gone.ContainerInstance.Status != "INACTIVE" {
		t.Errorf("%+v", gone)
	}
	if task, _ := store.Tasks.Get(st.View(), scope.Key("default/"+strings.Repeat("1", 32))); task.Desired != state.Stopped {
		t.Errorf("its task is %+v", task)
	}
}

func TestInstanceRules(t *testing.T) {
	client, _ := withNode(t)
	ctx := t.Context()
	for _, c := range []struct {
		in   ecs.RegisterContainerInstanceInput
		want string
	}{
		{ecs.RegisterContainerInstanceInput{Attributes: []types.Attribute{{Name: aws.String("a b")}}}, "Invalid attribute name: a b"},
		{ecs.RegisterContainerInstanceInput{Attributes: []types.Attribute{{Name: aws.String("berth.node"), Value: aws.String("none")}}}, "There is no such node to register."},
		{ecs.RegisterContainerInstanceInput{TotalResources: []types.Resource{{Name: aws.String("LUCK")}}}, "Invalid resource name: LUCK."},
		{ecs.RegisterContainerInstanceInput{TotalResources: []types.Resource{{Name: aws.String("PORTS"), StringSetValue: []string{"x"}}}}, "is not a port"},
	} {
		_, err := client.RegisterContainerInstance(ctx, &c.in)
		refused(t, err, "InvalidParameterException", c.want)
	}
	definition := func(mode types.NetworkMode) *string {
		return must(client.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{
			Family: aws.String("f"), NetworkMode: mode, RequiresCompatibilities: []types.Compatibility{"EC2"},
			ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("web"), Image: aws.String("web"), Memory: aws.Int32(10), PortMappings: []types.PortMapping{{ContainerPort: aws.Int32(80), HostPort: aws.Int32(80)}}}},
		}))(t).TaskDefinition.TaskDefinitionArn
	}
	bridge := definition(types.NetworkModeBridge)
	_, err := client.RunTask(ctx, &ecs.RunTaskInput{TaskDefinition: bridge})
	refused(t, err, "InvalidParameterException", "No Container Instances were found in your cluster.")
	arn := *must(client.RegisterContainerInstance(ctx, &ecs.RegisterContainerInstanceInput{}))(t).ContainerInstance.ContainerInstanceArn
	for _, c := range []struct {
		change func(*ecs.RunTaskInput)
		want   string
	}{
		{func(in *ecs.RunTaskInput) { in.LaunchType = "EXTERNAL" }, ""},
		{func(in *ecs.RunTaskInput) { in.PlatformVersion = aws.String("LATEST") }, "The platform version must be null when specifying an EC2 launch type."},
		{func(in *ecs.RunTaskInput) {
			in.NetworkConfiguration = &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: []string{"subnet-1"}}}
		}, "Network Configuration is not valid for the given networkMode of this task definition."},
		{func(in *ecs.RunTaskInput) { in.PlacementConstraints = []types.PlacementConstraint{{Type: "memberOf"}} }, "column 1: the expression is empty"},
		{func(in *ecs.RunTaskInput) {
			in.PlacementStrategy = []types.PlacementStrategy{{Type: "binpack", Field: aws.String("luck")}}
		}, "must be cpu or memory"},
	} {
		in := &ecs.RunTaskInput{TaskDefinition: bridge}
		c.change(in)
		_, err := client.RunTask(ctx, in)
		if c.want == "" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		refused(t, err, "InvalidParameterException", c.want)
	}
	// The EXTERNAL task has the port.
	out := must(client.RunTask(ctx, &ecs.RunTaskInput{TaskDefinition: bridge, Count: aws.Int32(2)}))(t)
	if len(out.Tasks) != 0 || len(out.Failures) != 2 || *out.Failures[0].Arn != arn || *out.Failures[0].Reason != "RESOURCE:PORTS" {
		t.Errorf("%+v", out)
	}
	if listed := must(client.ListTasks(ctx, &ecs.ListTasksInput{ContainerInstance: &arn}))(t); len(listed.TaskArns) != 1 {
		t.Errorf("%+v", listed)
	}
}

func TestListContainerInstancesInPages(t *testing.T) {
	client, st := withNode(t)
	if err := st.Update(t.Context(), func(tx *store.Tx) error {
		store.Nodes.Put(tx, &state.Node{ID: strings.Repeat("0b", 16), Zones: []string{"us-east-1b"}, Arch: "X86_64", CPU: 2048, Memory: 4096, CPUOvercommit: 1, MemoryOvercommit: 1, Status: "READY"})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, node := range []string{"0a", "0b"} {
		made := must(client.RegisterContainerInstance(t.Context(), &ecs.RegisterContainerInstanceInput{Attributes: []types.Attribute{{Name: aws.String(nodeAttribute), Value: aws.String(strings.Repeat(node, 16))}}}))(t)
		want[*made.ContainerInstance.ContainerInstanceArn] = true
	}
	for p := ecs.NewListContainerInstancesPaginator(client, &ecs.ListContainerInstancesInput{MaxResults: aws.Int32(1)}); p.HasMorePages(); {
		page := must(p.NextPage(t.Context()))(t)
		if len(page.ContainerInstanceArns) != 1 || !want[page.ContainerInstanceArns[0]] {
			t.Fatalf("a page is %v, of %v", page.ContainerInstanceArns, want)
		}
		delete(want, page.ContainerInstanceArns[0])
	}
	if len(want) != 0 {
		t.Errorf("not listed: %v", want)
	}
	_, err := client.ListContainerInstances(t.Context(), &ecs.ListContainerInstancesInput{MaxResults: aws.Int32(101)})
	refused(t, err, "InvalidParameterException", "between 1 and 100")
}
