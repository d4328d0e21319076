package ecs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"

	"github.com/berth/berth/launch"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/store/memory"
	"github.com/berth/berth/wire"
	"github.com/berth/berth/wire/wiretest"
)

// where the resources of wiretest's client are.
var scope = state.Scope{Account: wiretest.Account, Region: wiretest.Region}

// arnOf is the ARN of an ECS resource of wiretest's client.
func arnOf(resource string) string {
	return "arn:aws:ecs:" + wiretest.Region + ":" + wiretest.Account + ":" + resource
}

// newClient is a real SDK client of the service over a store in memory.
func newClient(t *testing.T) (*ecs.Client, *store.Store) {
	t.Helper()
	st, err := store.Open(t.Context(), memory.New())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	svc, err := wire.NewService(wire.ECS, New(Config{
		Store: st, Now: time.Now, Log: slog.New(slog.DiscardHandler), Launcher: testLauncher(),
	}))
	if err != nil {
		t.Fatal(err)
	}
	_, cfg := wiretest.Serve(t, svc)
	return ecs.NewFromConfig(cfg), st
}

// must is the value of a call that succeeds.
func must[T any](out T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// refused fails unless err has the code, and the text in its message.
func refused(t *testing.T, err error, code, text string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != code || !strings.Contains(e.ErrorMessage(), text) {
		t.Errorf("got %v, want %s: %s", err, code, text)
	}
}

func putTask(t *testing.T, st *store.Store, task *state.Task) {
	t.Helper()
	if err := st.Update(t.Context(), func(tx *store.Tx) error { store.Tasks.Put(tx, task); return nil }); err != nil {
		t.Fatal(err)
	}
}

func TestClusterLife(t *testing.T) {
	client, st := newClient(t)
	ctx := t.Context()

	_, err := client.RunTask(ctx, &ecs.RunTaskInput{TaskDefinition: aws.String("web")})
	refused(t, err, "ClusterNotFoundException", "Cluster not found.")
	described := must(client.DescribeClusters(ctx, &ecs.DescribeClustersInput{}))(t)
	if len(described.Clusters) != 0 || *described.Failures[0].Reason != "MISSING" || *described.Failures[0].Arn != arnOf("cluster/default") {
		t.Errorf("%+v", described)
	}

	made := must(client.CreateCluster(ctx, &ecs.CreateClusterInput{}))(t).Cluster
	if *made.ClusterName != "default" || *made.ClusterArn != arnOf("cluster/default") || *made.Status != "ACTIVE" ||
		len(made.Settings) != 1 || *made.Settings[0].Value != "disabled" {
		t.Errorf("%+v", made)
	}
	again := must(client.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: aws.String("default")}))(t).Cluster
	if *again.ClusterArn != *made.ClusterArn {
		t.Errorf("%+v", again)
	}
	_, err = client.CreateCluster(ctx, &ecs.CreateClusterInput{CapacityProviders: []string{"FARGATE"}})
	refused(t, err, "InvalidParameterException", "Arguments on this idempotent request are inconsistent")

	for i, last := range []state.TaskState{state.Running, state.Pending, state.Provisioning, state.Stopping, state.Stopped} {
		putTask(t, st, &state.Task{Scope: scope, Cluster: "default", ID: fmt.Sprint("t", i), Last: last, LaunchType: types.LaunchTypeFargate, Desired: state.Running})
	}
	shown := must(client.DescribeClusters(ctx, &ecs.DescribeClustersInput{
		Clusters: []string{"default", *made.ClusterArn, "other"}, Include: []types.ClusterField{"STATISTICS", "SETTINGS", "TAGS"},
	}))(t)
	if len(shown.Clusters) != 1 || len(shown.Failures) != 1 {
		t.Fatalf("%+v", shown)
	}
	c := shown.Clusters[0]
	statistics := map[string]string{}
	for _, s := range c.Statistics {
		statistics[*s.Name] = *s.Value
	}
	if c.RunningTasksCount != 1 || c.PendingTasksCount != 2 || statistics["runningFargateTasksCount"] != "1" ||
		statistics["pendingFargateTasksCount"] != "2" || statistics["runningEC2TasksCount"] != "0" {
		t.Errorf("%+v %v", c, statistics)
	}

	_, err = client.DeleteCluster(ctx, &ecs.DeleteClusterInput{Cluster: aws.String("default")})
	refused(t, err, "ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")
	for i := range 4 {
		putTask(t, st, &state.Task{Scope: scope, Cluster: "default", ID: fmt.Sprint("t", i), Last: state.Stopped, Desired: state.Stopped})
	}
	if gone := must(client.DeleteCluster(ctx, &ecs.DeleteClusterInput{Cluster: made.ClusterArn}))(t).Cluster; *gone.Status != "INACTIVE" {
		t.Errorf("%+v", gone)
	}
	_, err = client.DeleteCluster(ctx, &ecs.DeleteClusterInput{Cluster: aws.String("default")})
	refused(t, err, "ClusterNotFoundException", "The referenced cluster was inactive.")
	if l := must(client.ListClusters(ctx, &ecs.ListClustersInput{}))(t); len(l.ClusterArns) != 0 {
		t.Errorf("%+v", l)
	}
	if d := must(client.DescribeClusters(ctx, &ecs.DescribeClustersInput{}))(t); *d.Clusters[0].Status != "INACTIVE" {
		t.Errorf("%+v", d)
	}
	reused := must(client.CreateCluster(ctx, &ecs.CreateClusterInput{
		CapacityProviders:               []string{"FARGATE", "FARGATE_SPOT"},
		DefaultCapacityProviderStrategy: []types.CapacityProviderStrategyItem{{CapacityProvider: aws.String("FARGATE"), Base: 1, Weight: 2}},
		Tags:                            []types.Tag{{Key: aws.String("a"), Value: aws.String("1")}},
	}))(t).Cluster
	if *reused.Status != "ACTIVE" || len(reused.CapacityProviders) != 2 || reused.DefaultCapacityProviderStrategy[0].Base != 1 || *reused.Tags[0].Key != "a" {
		t.Errorf("%+v", reused)
	}
}

func TestClusterRules(t *testing.T) {
	client, st := newClient(t)
	ctx := t.Context()
	name := aws.String("c")
	must(client.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: name, CapacityProviders: []string{"FARGATE", "FARGATE_SPOT"}}))(t)
	item := func(name string, base, weight int32) types.CapacityProviderStrategyItem {
		return types.CapacityProviderStrategyItem{CapacityProvider: &name, Base: base, Weight: weight}
	}
	create := func(in ecs.CreateClusterInput) error {
		_, err := client.CreateCluster(ctx, &in)
		return err
	}
	const bad = "InvalidParameterException"
	refused(t, create(ecs.CreateClusterInput{ClusterName: aws.String("a b")}), bad, "Invalid cluster name")
	refused(t, create(ecs.CreateClusterInput{CapacityProviders: []string{"MINE"}}), bad, "'MINE' was not found")
	refused(t, create(ecs.CreateClusterInput{CapacityProviders: []string{"FARGATE", "FARGATE"}}), bad, "more than once")
	refused(t, create(ecs.CreateClusterInput{DefaultCapacityProviderStrategy: []types.CapacityProviderStrategyItem{item("FARGATE", 0, 1)}}),
		bad, "cannot contain a capacity provider that is not associated with the cluster")
	both := []string{"FARGATE", "FARGATE_SPOT"}
	for _, tc := range []struct {
		items []types.CapacityProviderStrategyItem
		want  string
	}{
		{[]types.CapacityProviderStrategyItem{item("FARGATE", 1, 1), item("FARGATE_SPOT", 1, 1)}, "multiple capacity providers with a base"},
		{[]types.CapacityProviderStrategyItem{item("FARGATE", 0, 0)}, "weight greater than 0"},
		{[]types.CapacityProviderStrategyItem{item("FARGATE", 0, 1001)}, "Invalid weight 1001"},
		{[]types.CapacityProviderStrategyItem{item("FARGATE", 100_001, 1)}, "Invalid base 100001"},
		{[]types.CapacityProviderStrategyItem{item("FARGATE", 0, 1), item("FARGATE", 0, 1)}, "more than once"},
	} {
		refused(t, create(ecs.CreateClusterInput{CapacityProviders: both, DefaultCapacityProviderStrategy: tc.items}), bad, tc.want)
	}
	refused(t, create(ecs.CreateClusterInput{Settings: []types.ClusterSetting{{Name: "speed"}}}), bad, "Invalid cluster setting name")
	refused(t, create(ecs.CreateClusterInput{Settings: []types.ClusterSetting{{Name: "containerInsights", Value: aws.String("yes")}}}), bad, "Invalid cluster setting value")
	execute := func(e types.ExecuteCommandConfiguration) ecs.CreateClusterInput {
		return ecs.CreateClusterInput{Configuration: &types.ClusterConfiguration{ExecuteCommandConfiguration: &e}}
	}
	refused(t, create(execute(types.ExecuteCommandConfiguration{Logging: "OVERRIDE"})), bad, "must be specified when overriding")
	refused(t, create(execute(types.ExecuteCommandConfiguration{LogConfiguration: &types.ExecuteCommandLogConfiguration{}})), bad, "set logging to 'OVERRIDE'")
	refused(t, create(ecs.CreateClusterInput{ServiceConnectDefaults: &types.ClusterServiceConnectDefaultsRequest{Namespace: aws.String("n")}}),
		bad, "serviceConnectDefaults is not supported: Service Connect is not built yet.")

	for ref, want := range map[string]string{
		"arn:aws:ecs:us-west-1:123456789012:cluster/c":       "Identifier is for us-west-1. Your region is eu-central-1",
		"arn:aws:ecs:eu-central-1:999999999999:cluster/c":    "Identifier is for 999999999999. Your accountId is 123456789012",
		"arn:aws:ecs:eu-central-1:123456789012:task/c/1":     "Unexpected resource type",
		"arn:aws:sqs:eu-central-1:123456789012:cluster/c":    "Invalid identifier",
		"arn:aws-cn:ecs:eu-central-1:123456789012:cluster/c": "Invalid identifier",
		"arn:aws:ecs": "Invalid identifier",
	} {
		_, err := client.DeleteCluster(ctx, &ecs.DeleteClusterInput{Cluster: &ref})
		refused(t, err, bad, want)
	}

	updated := must(client.UpdateCluster(ctx, &ecs.UpdateClusterInput{Cluster: name,
		Settings:      []types.ClusterSetting{{Name: "containerInsights", Value: aws.String("enhanced")}},
		Configuration: &types.ClusterConfiguration{ExecuteCommandConfiguration: &types.ExecuteCommandConfiguration{Logging: "NONE"}}}))(t).Cluster
	if *updated.Settings[0].Value != "enhanced" || updated.Configuration.ExecuteCommandConfiguration.Logging != "NONE" {
		t.Errorf("%+v", updated)
	}
	set := must(client.UpdateClusterSettings(ctx, &ecs.UpdateClusterSettingsInput{Cluster: name,
		Settings: []types.ClusterSetting{{Name: "containerInsights", Value: aws.String("enabled")}}}))(t).Cluster
	if *set.Settings[0].Value != "enabled" || set.Configuration == nil {
		t.Errorf("%+v", set)
	}

	putTask(t, st, &state.Task{Scope: scope, Cluster: "c", ID: "t", CapacityProvider: "FARGATE_SPOT", Last: state.Running})
	_, err := client.PutClusterCapacityProviders(ctx, &ecs.PutClusterCapacityProvidersInput{Cluster: name,
		CapacityProviders: []string{"FARGATE"}, DefaultCapacityProviderStrategy: []types.CapacityProviderStrategyItem{}})
	refused(t, err, "ResourceInUseException", "The specified capacity provider is in use and cannot be removed.")
	put := must(client.PutClusterCapacityProviders(ctx, &ecs.PutClusterCapacityProvidersInput{Cluster: name,
		CapacityProviders: []string{"FARGATE_SPOT"}, DefaultCapacityProviderStrategy: []types.CapacityProviderStrategyItem{item("FARGATE_SPOT", 0, 1)}}))(t).Cluster
	if !slices.Equal(put.CapacityProviders, []string{"FARGATE_SPOT"}) || len(put.DefaultCapacityProviderStrategy) != 1 {
		t.Errorf("%+v", put)
	}
	providers := must(client.DescribeCapacityProviders(ctx, &ecs.DescribeCapacityProvidersInput{}))(t)
	if len(providers.CapacityProviders) != 2 || *providers.CapacityProviders[0].CapacityProviderArn != arnOf("capacity-provider/FARGATE") {
		t.Errorf("%+v", providers)
	}
	providers = must(client.DescribeCapacityProviders(ctx, &ecs.DescribeCapacityProvidersInput{CapacityProviders: []string{"FARGATE_SPOT", "x"}}))(t)
	if len(providers.CapacityProviders) != 1 || *providers.Failures[0].Reason != "MISSING" {
		t.Errorf("%+v", providers)
	}
	_, err = client.DiscoverPollEndpoint(ctx, &ecs.DiscoverPollEndpointInput{})
	refused(t, err, "NotImplemented", "DiscoverPollEndpoint")
}

func TestTaskDefinitionLife(t *testing.T) {
	client, st := newClient(t)
	ctx := t.Context()
	register := func(family string) *types.TaskDefinition {
		in := fargateInput()
		in.Family = &family
		in.Tags = []types.Tag{{Key: aws.String("team"), Value: aws.String("a")}}
		return must(client.RegisterTaskDefinition(ctx, in))(t).TaskDefinition
	}
	first, second := register("web"), register("web")
	if *first.TaskDefinitionArn != arnOf("task-definition/web:1") || second.Revision != 2 || second.Status != "ACTIVE" ||
		*second.RegisteredBy != "arn:aws:iam::"+wiretest.Account+":root" || second.RegisteredAt == nil {
		t.Errorf("%+v", second)
	}
	for _, ref := range []string{"web", "web:2", *second.TaskDefinitionArn, arnOf("task-definition/web")} {
		d := must(client.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: &ref, Include: []types.TaskDefinitionField{"TAGS"}}))(t)
		if !reflect.DeepEqual(d.TaskDefinition, second) || len(d.Tags) != 1 {
			t.Errorf("%s: %+v\nwant %+v", ref, d.TaskDefinition, second)
		}
	}

	_, err := client.DeleteTaskDefinitions(ctx, &ecs.DeleteTaskDefinitionsInput{TaskDefinitions: make([]string, 11)})
	refused(t, err, "InvalidParameterException", "1 to 10 elements")
	none := must(client.DeleteTaskDefinitions(ctx, &ecs.DeleteTaskDefinitionsInput{TaskDefinitions: []string{"web:1", "web:9", "web"}}))(t)
	if len(none.TaskDefinitions) != 0 || len(none.Failures) != 3 || !strings.Contains(*none.Failures[0].Reason, "still in ACTIVE status") ||
		!strings.Contains(*none.Failures[1].Reason, "does not exist") || !strings.Contains(*none.Failures[2].Reason, "identifier is invalid") {
		t.Errorf("%+v", none)
	}

	_, err = client.DeregisterTaskDefinition(ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: aws.String("web")})
	refused(t, err, "ClientException", "Revision is missing.")
	gone := must(client.DeregisterTaskDefinition(ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: aws.String("web:2")}))(t).TaskDefinition
	if gone.Status != "INACTIVE" || gone.DeregisteredAt == nil {
		t.Errorf("%+v", gone)
	}
	if d := must(client.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("web")}))(t); d.TaskDefinition.Revision != 1 {
		t.Errorf("%+v", d.TaskDefinition)
	}
	deleted := must(client.DeleteTaskDefinitions(ctx, &ecs.DeleteTaskDefinitionsInput{TaskDefinitions: []string{"web:2"}}))(t)
	if deleted.TaskDefinitions[0].Status != "DELETE_IN_PROGRESS" || deleted.TaskDefinitions[0].DeleteRequestedAt == nil {
		t.Errorf("%+v", deleted)
	}
	list := must(client.ListTaskDefinitions(ctx, &ecs.ListTaskDefinitionsInput{Status: "DELETE_IN_PROGRESS"}))(t)
	if !slices.Equal(list.TaskDefinitionArns, []string{arnOf("task-definition/web:2")}) {
		t.Errorf("%+v", list)
	}
	// What the reaper does once no task uses the revision.
	if err := st.Update(ctx, func(tx *store.Tx) error {
		store.TaskDefinitions.Delete(tx, scope.Key(state.RevisionID("web", 2)))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	_, err = client.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("web:2")})
	refused(t, err, "ClientException", "Unable to describe task definition.")
	if d := register("web"); d.Revision != 3 {
		t.Errorf("revision %d was given again", d.Revision)
	}
	_, err = client.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("web:latest")})
	refused(t, err, "InvalidParameterException", "Invalid revision number. Number: latest")
	bad := fargateInput()
	bad.Cpu = aws.String("300")
	_, err = client.RegisterTaskDefinition(ctx, bad)
	refused(t, err, "ClientException", "No Fargate configuration exists for given values: 300 CPU, 512 memory.")
}

func TestListTaskDefinitions(t *testing.T) {
	client, _ := newClient(t)
	ctx := t.Context()
	// "a-b" comes after "a", although "-" comes before "/" and ":".
	for _, family := range []string{"a-b", "a", "a", "b"} {
		in := fargateInput()
		in.Family = &family
		must(client.RegisterTaskDefinition(ctx, in))(t)
	}
	for range 10 {
		in := fargateInput()
		in.Family = aws.String("a")
		must(client.RegisterTaskDefinition(ctx, in))(t)
	}
	want := []string{}
	for i := range 12 {
		want = append(want, arnOf(fmt.Sprintf("task-definition/a:%d", i+1)))
	}
	want = append(want, arnOf("task-definition/a-b:1"), arnOf("task-definition/b:1"))
	for _, order := range []types.SortOrder{"ASC", "DESC"} {
		var got []string
		pages := ecs.NewListTaskDefinitionsPaginator(client, &ecs.ListTaskDefinitionsInput{MaxResults: aws.Int32(5), Sort: order})
		for pages.HasMorePages() {
			got = append(got, must(pages.NextPage(ctx))(t).TaskDefinitionArns...)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v\nwant %v", order, got, want)
		}
		slices.Reverse(want)
	}
	if l := must(client.ListTaskDefinitions(ctx, &ecs.ListTaskDefinitionsInput{FamilyPrefix: aws.String("a")}))(t); len(l.TaskDefinitionArns) != 12 {
		t.Error(l.TaskDefinitionArns)
	}
	if l := must(client.ListTaskDefinitions(ctx, &ecs.ListTaskDefinitionsInput{Status: "INACTIVE"}))(t); l.TaskDefinitionArns == nil || len(l.TaskDefinitionArns) != 0 {
		t.Error(l.TaskDefinitionArns)
	}
	_, err := client.ListTaskDefinitions(ctx, &ecs.ListTaskDefinitionsInput{NextToken: aws.String("x")})
	refused(t, err, "InvalidParameterException", "nextToken")
	_, err = client.ListTaskDefinitions(ctx, &ecs.ListTaskDefinitionsInput{MaxResults: aws.Int32(101)})
	refused(t, err, "InvalidParameterException", "maxResults must be between 1 and 100.")

	must(client.DeregisterTaskDefinition(ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: aws.String("b:1")}))(t)
	families := func(prefix string, status types.TaskDefinitionFamilyStatus) []string {
		in := &ecs.ListTaskDefinitionFamiliesInput{FamilyPrefix: &prefix, Status: status}
		return must(client.ListTaskDefinitionFamilies(ctx, in))(t).Families
	}
	for _, tc := range []struct {
		prefix string
		status types.TaskDefinitionFamilyStatus
		want   []string
	}{
		{"", "", []string{"a", "a-b", "b"}},
		{"", "ALL", []string{"a", "a-b", "b"}},
		{"", "ACTIVE", []string{"a", "a-b"}},
		{"", "INACTIVE", []string{"b"}},
		{"a-", "", []string{"a-b"}},
		{"c", "", []string{}},
	} {
		if got := families(tc.prefix, tc.status); !slices.Equal(got, tc.want) {
			t.Errorf("%q %s: %v, want %v", tc.prefix, tc.status, got, tc.want)
		}
	}
}

// Many clients register one family at once: each gets a revision of its own.
func TestRevisionsAreGivenOnce(t *testing.T) {
	client, _ := newClient(t)
	var mu sync.Mutex
	var all sync.WaitGroup
	seen := map[int32]bool{}
	for range 20 {
		all.Go(func() {
			out, err := client.RegisterTaskDefinition(context.Background(), fargateInput())
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			seen[out.TaskDefinition.Revision] = true
		})
	}
	all.Wait()
	if len(seen) != 20 || !seen[1] || !seen[20] {
		t.Error(seen)
	}
}

func TestTags(t *testing.T) {
	client, st := newClient(t)
	ctx := t.Context()
	must(client.CreateCluster(ctx, &ecs.CreateClusterInput{}))(t)
	must(client.RegisterTaskDefinition(ctx, fargateInput()))(t)
	putTask(t, st, &state.Task{Scope: scope, Cluster: "default", ID: "t", Last: state.Running, Tags: []state.Tag{{Key: "aws:ecs:clusterName", Value: "default"}}})
	tag := func(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }
	for _, resource := range []string{"cluster/default", "task-definition/web:1", "task/default/t"} {
		ref := arnOf(resource)
		must(client.TagResource(ctx, &ecs.TagResourceInput{ResourceArn: &ref, Tags: []types.Tag{tag("a", "1"), tag("b", "")}}))(t)
		must(client.TagResource(ctx, &ecs.TagResourceInput{ResourceArn: &ref, Tags: []types.Tag{tag("a", "2")}}))(t)
		must(client.UntagResource(ctx, &ecs.UntagResourceInput{ResourceArn: &ref, TagKeys: []string{"b", "c"}}))(t)
		got := map[string]string{}
		for _, t := range must(client.ListTagsForResource(ctx, &ecs.ListTagsForResourceInput{ResourceArn: &ref}))(t).Tags {
			got[*t.Key] = *t.Value
		}
		delete(got, "aws:ecs:clusterName")
		if len(got) != 1 || got["a"] != "2" {
			t.Errorf("%s: %v", resource, got)
		}
	}
	var many []types.Tag
	for i := range 51 {
		many = append(many, tag(fmt.Sprint("k", i), ""))
	}
	const bad = "InvalidParameterException"
	for _, tc := range []struct {
		resource   string
		tags       []types.Tag
		code, want string
	}{
		{"cluster/default", many, bad, "at most 50"},
		{"cluster/default", many[:50], bad, "at most 50"}, // there is one
		{"cluster/default", []types.Tag{tag("AWS:x", "")}, bad, "reserved"},
		{"cluster/default", []types.Tag{tag("", "")}, bad, "must not be empty"},
		{"cluster/default", []types.Tag{tag(strings.Repeat("é", 129), "")}, bad, "at most 128"},
		{"cluster/default", []types.Tag{tag(strings.Repeat("é", 128), strings.Repeat("é", 257))}, bad, "at most 256"},
		{"cluster/default", []types.Tag{tag("x", ""), tag("x", "")}, bad, "Duplicate tag keys"},
		{"cluster/none", many[:1], "ClusterNotFoundException", "Cluster not found."},
		{"task/default/none", many[:1], bad, "The specified task does not exist."},
		{"task-definition/web:7", many[:1], bad, "The specified task definition does not exist."},
		{"task-definition/web", many[:1], bad, "The specified task definition does not exist."},
		{"service/default/web", many[:1], "ResourceNotFoundException", "The specified service does not exist."},
	} {
		_, err := client.TagResource(ctx, &ecs.TagResourceInput{ResourceArn: aws.String(arnOf(tc.resource)), Tags: tc.tags})
		refused(t, err, tc.code, tc.want)
	}
	_, err := client.UntagResource(ctx, &ecs.UntagResourceInput{ResourceArn: aws.String(arnOf("task/default/t")), TagKeys: []string{"aws:ecs:clusterName"}})
	refused(t, err, bad, "reserved")
	_, err = client.ListTagsForResource(ctx, &ecs.ListTagsForResourceInput{ResourceArn: aws.String("default")})
	refused(t, err, bad, "Invalid identifier")
}

// AWS's own corpus of requests, with every member filled, is understood.
func TestCorpus(t *testing.T) {
	st, err := store.Open(t.Context(), memory.New())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	svc, err := wire.NewService(wire.ECS, New(Config{Store: st, Now: time.Now, Log: slog.New(slog.DiscardHandler), Launcher: testLauncher()}))
	if err != nil {
		t.Fatal(err)
	}
	wiretest.Corpus(t, svc, "ecs")
}

// testLauncher starts tasks by the real clock.
func testLauncher() *launch.Launcher {
	return &launch.Launcher{PublicPool: netip.MustParsePrefix("127.64.0.0/16"), Now: time.Now}
}
