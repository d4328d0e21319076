package ecs

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"pgregory.net/rapid"

	"github.com/berth/berth/internal/id"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// farm is a store with a default VPC, a node, a cluster and a definition, and a
// client of the API over it.
type farm struct {
	*ecs.Client
	st  *store.Store
	vpc *state.DefaultVPC
}

func newFarm(t *testing.T, cpu, memory int32) farm {
	t.Helper()
	client, st := newClient(t)
	vpc, err := state.Seed(scope, state.DefaultPrefix, time.Now(), id.Resource)
	if err != nil {
		t.Fatal(err)
	}
	node := &state.Node{ID: id.Hex(16), Arch: "X86_64", CPU: cpu, Memory: memory, CPUOvercommit: 1, MemoryOvercommit: 1, Status: "READY"}
	for _, z := range state.Zones(scope.Region) {
		node.Zones = append(node.Zones, z.Name)
	}
	err = st.Update(t.Context(), func(tx *store.Tx) error {
		store.VPCs.Put(tx, vpc.VPC)
		for _, s := range vpc.Subnets {
			store.Subnets.Put(tx, s)
		}
		store.SecurityGroups.Put(tx, vpc.SecurityGroup)
		store.Nodes.Put(tx, node)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f := farm{client, st, vpc}
	must(f.CreateCluster(t.Context(), &ecs.CreateClusterInput{CapacityProviders: []string{"FARGATE", "FARGATE_SPOT"}}))(t)
	must(f.RegisterTaskDefinition(t.Context(), fargateInput()))(t)
	return f
}

// input is a call that succeeds.
func (f farm) input() *ecs.RunTaskInput {
	return &ecs.RunTaskInput{
		TaskDefinition: fargateInput().Family, LaunchType: types.LaunchTypeFargate,
		NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: []string{f.vpc.Subnets[0].ID}}},
	}
}

// end reports a task as stopped, as control/dispatch would write it down.
func (f farm) end(t *testing.T, key state.Key) {
	t.Helper()
	err := f.st.Update(t.Context(), func(tx *store.Tx) error {
		task, ok := store.Tasks.Get(tx, key)
		if !ok {
			return fmt.Errorf("no task %v", key)
		}
		task = task.Clone()
		task.Observe(state.TaskReport{State: state.Stopped}, time.Now())
		store.Tasks.Put(tx, task)
		eni, ok := store.ENIs.Get(tx, scope.Key(task.ENI))
		if !ok {
			return nil
		}
		store.ENIs.Delete(tx, eni.Key())
		store.Addresses.Delete(tx, (&state.Address{Scope: scope, Space: eni.VPC, Addr: eni.Address}).Key())
		if eni.Public.IsValid() {
			store.Addresses.Delete(tx, (&state.Address{Space: "public", Addr: eni.Public}).Key())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRunTaskRules(t *testing.T) {
	f := newFarm(t, 4096, 8192)
	network := func(edit func(*types.AwsVpcConfiguration)) func(*ecs.RunTaskInput) {
		return func(in *ecs.RunTaskInput) { edit(in.NetworkConfiguration.AwsvpcConfiguration) }
	}
	override := func(o types.TaskOverride) func(*ecs.RunTaskInput) {
		return func(in *ecs.RunTaskInput) { in.Overrides = &o }
	}
	name := *fargateInput().ContainerDefinitions[0].Name
	strategy := func(items ...types.CapacityProviderStrategyItem) func(*ecs.RunTaskInput) {
		return func(in *ecs.RunTaskInput) { in.LaunchType, in.CapacityProviderStrategy = "", items }
	}
	const invalid = "InvalidParameterException"
	for what, tt := range map[string]struct {
		edit       func(*ecs.RunTaskInput)
		code, text string
	}{
		"count 0":           {func(in *ecs.RunTaskInput) { in.Count = aws.Int32(0) }, invalid, "count"},
		"count 11":          {func(in *ecs.RunTaskInput) { in.Count = aws.Int32(11) }, invalid, "count"},
		"no cluster":        {func(in *ecs.RunTaskInput) { in.Cluster = aws.String("nope") }, "ClusterNotFoundException", "Cluster not found."},
		"no cluster's name": {func(in *ecs.RunTaskInput) { in.Cluster = aws.String("no pe") }, invalid, `Cluster must match ^[a-zA-Z0-9\-_]{1,255}$, but was no pe`},
		"no definition":     {func(in *ecs.RunTaskInput) { in.TaskDefinition = aws.String("nope") }, "ClientException", "TaskDefinition not found."},
		"EC2":               {func(in *ecs.RunTaskInput) { in.LaunchType = types.LaunchTypeEc2 }, invalid, "No Container Instances were found in your cluster."},
		"no launch type":    {func(in *ecs.RunTaskInput) { in.LaunchType = "" }, invalid, "No Container Instances were found in your cluster."},
		"type and strategy": {func(in *ecs.RunTaskInput) {
			in.CapacityProviderStrategy = []types.CapacityProviderStrategyItem{{CapacityProvider: aws.String("FARGATE")}}
		}, invalid, "Specifying both a launch type and capacity provider strategy"},
		"foreign provider":    {strategy(types.CapacityProviderStrategyItem{CapacityProvider: aws.String("mine"), Weight: 1}), invalid, "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster."},
		"weights of 0":        {strategy(types.CapacityProviderStrategyItem{CapacityProvider: aws.String("FARGATE")}), invalid, "weight"},
		"two bases":           {strategy(types.CapacityProviderStrategyItem{CapacityProvider: aws.String("FARGATE"), Base: 1, Weight: 1}, types.CapacityProviderStrategyItem{CapacityProvider: aws.String("FARGATE_SPOT"), Base: 1}), invalid, "base"},
		"platform unknown":    {func(in *ecs.RunTaskInput) { in.PlatformVersion = aws.String("9") }, "PlatformUnknownException", "The specified platform does not exist."},
		"platform too old":    {func(in *ecs.RunTaskInput) { in.PlatformVersion = aws.String("1.0.0") }, "PlatformTaskDefinitionIncompatibilityException", "1.0.0"},
		"no network":          {func(in *ecs.RunTaskInput) { in.NetworkConfiguration = nil }, invalid, "Network Configuration must be provided"},
		"no subnet":           {network(func(c *types.AwsVpcConfiguration) { c.Subnets = []string{} }), invalid, "subnets can not be empty"},
		"17 subnets":          {network(func(c *types.AwsVpcConfiguration) { c.Subnets = slices.Repeat(c.Subnets, 17) }), invalid, "at most 16"},
		"foreign subnet":      {network(func(c *types.AwsVpcConfiguration) { c.Subnets = []string{"subnet-0"} }), invalid, "InvalidSubnetID.NotFound"},
		"foreign group":       {network(func(c *types.AwsVpcConfiguration) { c.SecurityGroups = []string{"sg-0"} }), invalid, "InvalidGroup.NotFound"},
		"blank group":         {network(func(c *types.AwsVpcConfiguration) { c.SecurityGroups = []string{""} }), invalid, "security group cannot be blank"},
		"long startedBy":      {func(in *ecs.RunTaskInput) { in.StartedBy = aws.String(strings.Repeat("x", 129)) }, invalid, "startedBy longer than 128."},
		"6 groups":            {network(func(c *types.AwsVpcConfiguration) { c.SecurityGroups = make([]string, 6) }), invalid, "at most 5"},
		"public maybe":        {network(func(c *types.AwsVpcConfiguration) { c.AssignPublicIp = "MAYBE" }), invalid, "MAYBE"},
		"group of a service":  {func(in *ecs.RunTaskInput) { in.Group = aws.String("service:web") }, invalid, "Invalid namespace for group."},
		"unknown container":   {override(types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{Name: aws.String("nope")}}}), invalid, "Override for container named nope is not a container in the TaskDefinition."},
		"nameless override":   {override(types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{}}}), invalid, "name"},
		"two overrides":       {override(types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{Name: &name}, {Name: &name}}}), invalid, "more than one"},
		"odd size":            {override(types.TaskOverride{Cpu: aws.String("300")}), "", "300"},
		"large override":      {override(types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{Name: &name, Command: []string{strings.Repeat("x", 9000)}}}}), invalid, "8192"},
		"container too large": {override(types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{Name: &name, Memory: aws.Int32(100000)}}}), invalid, "memory"},
		"long token":          {func(in *ecs.RunTaskInput) { in.ClientToken = aws.String(strings.Repeat("x", 65)) }, invalid, "clientToken"},
		"placement": {func(in *ecs.RunTaskInput) {
			in.PlacementStrategy = []types.PlacementStrategy{{Type: types.PlacementStrategyTypeRandom}}
		}, invalid, "lacement"},
		"tags of a service": {func(in *ecs.RunTaskInput) { in.PropagateTags = types.PropagateTagsService }, invalid, "PropagateTags"},
		"reserved tag":      {func(in *ecs.RunTaskInput) { in.Tags = []types.Tag{{Key: aws.String("aws:x"), Value: aws.String("y")}} }, invalid, "aws:"},
	} {
		t.Run(what, func(t *testing.T) {
			in := f.input()
			tt.edit(in)
			out, err := f.RunTask(t.Context(), in)
			if err == nil {
				t.Fatalf("it ran: %+v", out)
			}
			if tt.code != "" {
				refused(t, err, tt.code, tt.text)
			}
		})
	}
	for range store.Tasks.All(f.st.View()) {
		t.Error("a refused call left a task")
	}
	for range store.Addresses.All(f.st.View()) {
		t.Error("a refused call left an address")
	}
}

func TestTaskLife(t *testing.T) {
	f := newFarm(t, 1024, 8192)
	in := f.input()
	in.ClientToken, in.Count, in.StartedBy, in.EnableECSManagedTags = aws.String("once"), aws.Int32(2), aws.String("me"), true
	in.NetworkConfiguration.AwsvpcConfiguration.AssignPublicIp = types.AssignPublicIpEnabled
	in.Tags = []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}
	first := must(f.RunTask(t.Context(), in))(t)
	again := must(f.RunTask(t.Context(), in))(t)
	if len(first.Tasks) != 2 || len(again.Tasks) != 2 || *first.Tasks[1].TaskArn != *again.Tasks[1].TaskArn {
		t.Fatalf("the token ran %d tasks, then %d", len(first.Tasks), len(again.Tasks))
	}
	in.StartedBy = aws.String("you")
	_, err := f.RunTask(t.Context(), in)
	refused(t, err, "ConflictException", "clientToken")

	arn := *first.Tasks[0].TaskArn
	short := arn[strings.LastIndex(arn, "/")+1:]
	described := must(f.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Tasks: []string{short, arn, strings.Repeat("0", 32)}, Include: []types.TaskField{types.TaskFieldTags}}))(t)
	if len(described.Tasks) != 2 || len(described.Failures) != 1 || *described.Failures[0].Reason != "MISSING" {
		t.Fatalf("described %d tasks, failures %+v", len(described.Tasks), described.Failures)
	}
	task := described.Tasks[0]
	if len(task.Tags) != 2 || *task.StartedBy != "me" || *task.Attachments[0].Status != "PRECREATED" || *task.LastStatus != "PROVISIONING" {
		t.Errorf("the task shows %+v", task)
	}
	list := func(edit func(*ecs.ListTasksInput)) int {
		in := &ecs.ListTasksInput{}
		edit(in)
		return len(must(f.ListTasks(t.Context(), in))(t).TaskArns)
	}
	for want, edit := range map[int]func(*ecs.ListTasksInput){
		2: func(in *ecs.ListTasksInput) { in.StartedBy = aws.String("me") },
		0: func(in *ecs.ListTasksInput) { in.DesiredStatus = types.DesiredStatusStopped },
		1: func(in *ecs.ListTasksInput) { in.MaxResults = aws.Int32(1) },
	} {
		if got := list(edit); got != want {
			t.Errorf("listed %d, want %d", got, want)
		}
	}
	for range 2 { // the second call changes nothing
		stopped := must(f.StopTask(t.Context(), &ecs.StopTaskInput{Task: &arn, Reason: aws.String("enough")}))(t)
		if *stopped.Task.DesiredStatus != "STOPPED" || *stopped.Task.StoppedReason != "enough" || stopped.Task.StopCode != types.TaskStopCodeUserInitiated {
			t.Errorf("StopTask shows %+v", stopped.Task)
		}
	}
	_, err = f.StopTask(t.Context(), &ecs.StopTaskInput{Task: aws.String(strings.Repeat("0", 32))})
	refused(t, err, "InvalidParameterException", "The referenced task was not found.")
	f.end(t, scope.Key("default/"+short))
	gone := must(f.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Tasks: []string{arn}}))(t).Tasks[0]
	if *gone.LastStatus != "STOPPED" || *gone.Attachments[0].Status != "DELETED" || len(gone.Tags) != 0 {
		t.Errorf("the stopped task shows %+v", gone)
	}
}

// What doesn't fit is said, and takes nothing.
func TestNoRoom(t *testing.T) {
	f := newFarm(t, 256, 8192)
	in := f.input()
	in.Count = aws.Int32(3)
	out := must(f.RunTask(t.Context(), in))(t)
	if len(out.Tasks) != 1 || len(out.Failures) != 2 {
		t.Fatalf("%d tasks, %d failures", len(out.Tasks), len(out.Failures))
	}
	if detail := *out.Failures[0].Detail; !strings.Contains(detail, "RESOURCE:CPU") || !strings.Contains(detail, "1 of 1 with fewer than 256 CPU units free") {
		t.Errorf("the failure says %q", detail)
	}
	if n := len(slices.Collect(store.ENIs.All(f.st.View()))); n != 1 {
		t.Errorf("%d interfaces for one task", n)
	}
}

// Whatever is run and stopped, by many at once: no two interfaces share an
// address, no node is overfull, and in the end nothing is left.
func TestAddressesAndCapacityAreNeverShared(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := newFarm(t, 256*20, 512*20)
		// A subnet with eleven usable addresses, so that it runs full.
		small := *f.vpc.Subnets[0]
		small.Prefix = netip.PrefixFrom(small.Prefix.Addr(), 28)
		if err := f.st.Update(t.Context(), func(tx *store.Tx) error { store.Subnets.Put(tx, &small); return nil }); err != nil {
			rt.Fatal(err)
		}
		steps := rapid.SliceOfN(rapid.IntRange(0, 3), 1, 8).Draw(rt, "steps")
		for _, step := range steps {
			var work sync.WaitGroup
			for range step + 1 {
				work.Go(func() {
					in := f.input()
					in.Count = aws.Int32(int32(step + 1))
					if _, err := f.RunTask(t.Context(), in); err != nil {
						t.Error(err)
					}
				})
			}
			work.Wait()
			view := f.st.View()
			seen := map[netip.Addr]bool{}
			for eni := range store.ENIs.All(view) {
				if seen[eni.Address] || !small.Prefix.Contains(eni.Address) {
					rt.Fatalf("address %v is taken twice, or isn't of the subnet", eni.Address)
				}
				seen[eni.Address] = true
			}
			var live []state.Key
			for task := range store.Tasks.All(view) {
				if task.Last != state.Stopped {
					live = append(live, task.Key())
					if eni, ok := store.ENIs.Get(view, scope.Key(task.ENI)); !ok || eni.TaskID != task.ID {
						rt.Fatalf("task %s has no interface", task.ID)
					}
				}
			}
			if len(live) != len(seen) || len(live) > 11 || len(slices.Collect(store.Addresses.All(view))) != len(seen) {
				rt.Fatalf("%d tasks live on %d interfaces", len(live), len(seen))
			}
			for i, key := range live {
				if i%2 == step%2 {
					f.end(t, key)
				}
			}
		}
		for task := range store.Tasks.All(f.st.View()) {
			if task.Last != state.Stopped {
				f.end(t, task.Key())
			}
		}
		for a := range store.Addresses.All(f.st.View()) {
			rt.Fatalf("address %v is left", a.Addr)
		}
	})
}

// References to tasks that can't be one, in ECS's words.
func TestTaskReferences(t *testing.T) {
	f := newFarm(t, 4096, 8192)
	task := must(f.RunTask(t.Context(), f.input()))(t).Tasks[0]
	elsewhere := strings.Replace(*task.TaskArn, "task/default/", "task/other/", 1)
	for ref, text := range map[string]string{
		"nope":              "taskId length should be one of [32,36]",
		*task.TaskArn + "0": "taskId length should be one of [32,36]",
		elsewhere:           "Invalid identifier: Identifier is for cluster other. Your cluster is default",
		*task.ClusterArn:    "Invalid identifier",
		"":                  "Task can not be blank.",
	} {
		_, err := f.StopTask(t.Context(), &ecs.StopTaskInput{Task: &ref})
		refused(t, err, "InvalidParameterException", text)
		_, err = f.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Tasks: []string{*task.TaskArn, ref}})
		refused(t, err, "InvalidParameterException", text)
	}
	_, err := f.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Tasks: slices.Repeat([]string{*task.TaskArn}, 101)})
	refused(t, err, "InvalidParameterException", "taskIds can have at most 100 items.")

	short := strings.Replace(*task.TaskArn, "task/default/", "task/", 1)
	_, err = f.TagResource(t.Context(), &ecs.TagResourceInput{ResourceArn: &short, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}})
	refused(t, err, "InvalidParameterException", "Long arn format must be used for tagging operations")

	must(f.CreateCluster(t.Context(), &ecs.CreateClusterInput{ClusterName: aws.String("gone")}))(t)
	must(f.DeleteCluster(t.Context(), &ecs.DeleteClusterInput{Cluster: aws.String("gone")}))(t)
	in := f.input()
	in.Cluster = aws.String("gone")
	_, err = f.RunTask(t.Context(), in)
	refused(t, err, "ClusterNotFoundException", "The referenced cluster was inactive.")
}
