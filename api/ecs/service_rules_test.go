package ecs

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

func TestCreateServiceRules(t *testing.T) {
	f := newFarm(t, 4096, 8192)
	config := func(c types.DeploymentConfiguration) func(*ecs.CreateServiceInput) {
		return func(in *ecs.CreateServiceInput) { in.DeploymentConfiguration = &c }
	}
	daemon := func(edit func(*ecs.CreateServiceInput)) func(*ecs.CreateServiceInput) {
		return func(in *ecs.CreateServiceInput) {
			in.SchedulingStrategy, in.DesiredCount, in.LaunchType = "DAEMON", nil, "EC2"
			edit(in)
		}
	}
	hook := func(h types.DeploymentLifecycleHook) func(*ecs.CreateServiceInput) {
		return config(types.DeploymentConfiguration{Strategy: "BLUE_GREEN", BakeTimeInMinutes: aws.Int32(1), LifecycleHooks: []types.DeploymentLifecycleHook{h}})
	}
	provider := []types.CapacityProviderStrategyItem{{CapacityProvider: aws.String("FARGATE"), Weight: 1}}
	const bad = "InvalidParameterException"
	for _, tc := range []struct {
		edit       func(*ecs.CreateServiceInput)
		code, want string
	}{
		{func(in *ecs.CreateServiceInput) { in.ServiceName = aws.String("a b") }, bad, "Invalid service name"},
		{func(in *ecs.CreateServiceInput) { in.Cluster = aws.String("none") }, "ClusterNotFoundException", "Cluster not found."},
		{func(in *ecs.CreateServiceInput) { in.TaskDefinition = aws.String("none") }, "ClientException", "TaskDefinition not found."},
		{func(in *ecs.CreateServiceInput) { in.TaskDefinition = nil }, bad, "TaskDefinition can not be blank."},
		{func(in *ecs.CreateServiceInput) { in.DesiredCount = nil }, bad, "The desired count must be specified"},
		{func(in *ecs.CreateServiceInput) { in.DesiredCount = aws.Int32(-1) }, bad, "must not be negative"},
		{func(in *ecs.CreateServiceInput) { in.ClientToken = aws.String(strings.Repeat("a", 37)) }, bad, "clientToken"},
		{func(in *ecs.CreateServiceInput) { in.ClientToken = aws.String("a b") }, bad, "clientToken"},
		{func(in *ecs.CreateServiceInput) { in.NetworkConfiguration = nil }, bad, "Network Configuration must be provided"},
		{func(in *ecs.CreateServiceInput) { in.PlatformVersion = aws.String("2.0.0") }, "PlatformUnknownException", "does not exist"},
		{func(in *ecs.CreateServiceInput) { in.CapacityProviderStrategy = provider }, bad, "Specifying both a launch type and capacity provider strategy"},
		{func(in *ecs.CreateServiceInput) { in.PropagateTags = "ALL" }, bad, "PropagateTags"},
		{func(in *ecs.CreateServiceInput) { in.HealthCheckGracePeriodSeconds = aws.Int32(5) }, bad, "Health check grace period is only valid for services configured to use load balancers"},
		{func(in *ecs.CreateServiceInput) {
			in.PlacementConstraints = []types.PlacementConstraint{{Type: "distinctInstance"}}
		}, bad, "not supported with FARGATE"},
		{func(in *ecs.CreateServiceInput) {
			in.LoadBalancers = []types.LoadBalancer{{ContainerName: aws.String("web")}}
		}, bad, "is not supported: load balancers are not built yet."},
		{func(in *ecs.CreateServiceInput) {
			in.DeploymentController = &types.DeploymentController{Type: "CODE_DEPLOY"}
		}, bad, "requires a load balancer"},
		{func(in *ecs.CreateServiceInput) {
			in.DeploymentController = &types.DeploymentController{Type: "EXTERNAL"}
		}, bad, "taskDefinition can not be specified"},
		{func(in *ecs.CreateServiceInput) { in.SchedulingStrategy = "SOME" }, bad, "Invalid scheduling strategy: SOME"},
		{daemon(func(in *ecs.CreateServiceInput) { in.DesiredCount = aws.Int32(1) }), bad, "does not support a desired count"},
		{daemon(func(in *ecs.CreateServiceInput) { in.LaunchType = "FARGATE" }), bad, "does not support the launch type FARGATE"},
		{daemon(func(in *ecs.CreateServiceInput) { in.LaunchType, in.CapacityProviderStrategy = "", provider }), bad, "using the DAEMON scheduling strategy"},
		{daemon(func(in *ecs.CreateServiceInput) { in.PlacementStrategy = []types.PlacementStrategy{{Type: "random"}} }), bad, "does not support placement strategies"},
		{daemon(config(types.DeploymentConfiguration{MaximumPercent: aws.Int32(200)})), bad, "does not support values above 100 for maximumPercent"},
		{daemon(func(in *ecs.CreateServiceInput) { in.AvailabilityZoneRebalancing = "ENABLED" }), bad, "the scheduling strategy is DAEMON"},
		{config(types.DeploymentConfiguration{MaximumPercent: aws.Int32(100)}), bad, "cannot be 100 as this will block deployments"},
		{config(types.DeploymentConfiguration{MinimumHealthyPercent: aws.Int32(101)}), bad, "minimumHealthyPercent must be between 0 and 100"},
		{config(types.DeploymentConfiguration{MaximumPercent: aws.Int32(50)}), bad, "maximumPercent must be at least 100"},
		{config(types.DeploymentConfiguration{Strategy: "BLUE_GREEN"}), bad, "bakeTimeInMinutes must be specified"},
		{config(types.DeploymentConfiguration{BakeTimeInMinutes: aws.Int32(1441)}), bad, "must be between 0 and 1440"},
		{config(types.DeploymentConfiguration{LinearConfiguration: &types.LinearConfiguration{}}), bad, "only valid with the deployment strategy LINEAR"},
		{config(types.DeploymentConfiguration{Strategy: "LINEAR", LinearConfiguration: &types.LinearConfiguration{StepPercent: aws.Float64(2)}}), bad, "linearConfiguration.stepPercent must be a multiple of 0.1 between 3.0 and 100.0, not 2"},
		{config(types.DeploymentConfiguration{Strategy: "CANARY", CanaryConfiguration: &types.CanaryConfiguration{CanaryPercent: aws.Float64(0.15)}}), bad, "canaryConfiguration.canaryPercent"},
		{config(types.DeploymentConfiguration{Alarms: &types.DeploymentAlarms{Enable: true, AlarmNames: []string{"a"}}}), bad, "there are no CloudWatch alarms yet"},
		{config(types.DeploymentConfiguration{DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{
			ThresholdConfiguration: &types.ThresholdConfiguration{Type: "COUNT"}}}), bad, "must be at least 1, not 0"},
		{hook(types.DeploymentLifecycleHook{}), bad, "targetType must be PAUSE"},
		{hook(types.DeploymentLifecycleHook{TargetType: "PAUSE"}), bad, "lifecycleStages can not be empty"},
		{hook(types.DeploymentLifecycleHook{TargetType: "PAUSE", LifecycleStages: []types.DeploymentLifecycleHookStage{"TEST_TRAFFIC_SHIFT"}}), bad, "cannot be configured at the stage TEST_TRAFFIC_SHIFT"},
	} {
		in := f.service("web", 1)
		tc.edit(in)
		_, err := f.CreateService(t.Context(), in)
		refused(t, err, tc.code, tc.want)
	}
	for range store.Services.All(f.st.View()) {
		t.Error("a refused call left a service")
	}
	for range store.Deployments.All(f.st.View()) {
		t.Error("a refused call left a deployment")
	}
}

func TestServiceDefaults(t *testing.T) {
	f := newFarm(t, 4096, 8192)
	create := func(name string, edit func(*ecs.CreateServiceInput)) *types.Service {
		in := f.service(name, 1)
		edit(in)
		return must(f.CreateService(t.Context(), in))(t).Service
	}
	linear := create("linear", func(in *ecs.CreateServiceInput) {
		in.DeploymentConfiguration = &types.DeploymentConfiguration{Strategy: "LINEAR", LifecycleHooks: []types.DeploymentLifecycleHook{
			{TargetType: "PAUSE", LifecycleStages: []types.DeploymentLifecycleHookStage{"PRE_SCALE_UP"}},
		}}
	}).DeploymentConfiguration
	if *linear.LinearConfiguration.StepPercent != 10 || *linear.LinearConfiguration.StepBakeTimeInMinutes != 6 || *linear.LifecycleHooks[0].TimeoutConfiguration.TimeoutInMinutes != 1440 ||
		linear.LifecycleHooks[0].TimeoutConfiguration.Action != "ROLLBACK" {
		t.Errorf("%+v", linear)
	}
	spot := create("spot", func(in *ecs.CreateServiceInput) {
		in.LaunchType, in.CapacityProviderStrategy = "", []types.CapacityProviderStrategyItem{{CapacityProvider: aws.String("FARGATE_SPOT"), Weight: 1}}
	})
	if spot.LaunchType != "" || *spot.CapacityProviderStrategy[0].CapacityProvider != "FARGATE_SPOT" || *spot.PlatformVersion != "LATEST" || spot.Deployments[0].LaunchType != "" {
		t.Errorf("%+v", spot)
	}
	_, err := f.PutClusterCapacityProviders(t.Context(), &ecs.PutClusterCapacityProvidersInput{
		Cluster: aws.String("default"), CapacityProviders: []string{"FARGATE"}, DefaultCapacityProviderStrategy: []types.CapacityProviderStrategyItem{},
	})
	refused(t, err, "ResourceInUseException", "in use and cannot be removed")
	back := must(f.UpdateService(t.Context(), &ecs.UpdateServiceInput{Service: aws.String("spot"), CapacityProviderStrategy: []types.CapacityProviderStrategyItem{}}))(t).Service
	if back.LaunchType != "FARGATE" || len(back.CapacityProviderStrategy) != 0 || *back.Deployments[0].Id == *spot.Deployments[0].Id {
		t.Errorf("%+v", back)
	}
	changed := must(f.UpdateService(t.Context(), &ecs.UpdateServiceInput{
		Service: aws.String("linear"), DeploymentConfiguration: &types.DeploymentConfiguration{Strategy: "ROLLING", MinimumHealthyPercent: aws.Int32(50)},
	}))(t).Service.DeploymentConfiguration
	if changed.LinearConfiguration != nil || len(changed.LifecycleHooks) != 0 || *changed.MinimumHealthyPercent != 50 || *changed.MaximumPercent != 200 {
		t.Errorf("%+v", changed)
	}
	if l := must(f.ListServices(t.Context(), &ecs.ListServicesInput{MaxResults: aws.Int32(1)}))(t); len(l.ServiceArns) != 1 || l.NextToken == nil || l.ServiceArns[0] != arnOf("service/default/linear") {
		t.Errorf("%+v", l)
	}
	if l := must(f.ListServices(t.Context(), &ecs.ListServicesInput{LaunchType: "EC2"}))(t); len(l.ServiceArns) != 0 {
		t.Errorf("%+v", l)
	}
	_, err = f.ListServicesByNamespace(t.Context(), &ecs.ListServicesByNamespaceInput{Namespace: aws.String("n")})
	refused(t, err, "NamespaceNotFoundException", "")
	_, err = f.UpdateService(t.Context(), &ecs.UpdateServiceInput{Service: aws.String("none")})
	refused(t, err, "ServiceNotFoundException", "Service not found.")
	_, err = f.DescribeServices(t.Context(), &ecs.DescribeServicesInput{Services: []string{arnOf("service/other/web")}})
	refused(t, err, "InvalidParameterException", "Identifier is for cluster other. Your cluster is default")
	if d := must(f.DescribeServices(t.Context(), &ecs.DescribeServicesInput{Services: []string{"none"}}))(t); *d.Failures[0].Arn != arnOf("service/default/none") || *d.Failures[0].Reason != "MISSING" {
		t.Errorf("%+v", d)
	}

	// A client token stands for what it did, and for nothing else.
	once := f.service("once", 1)
	once.ClientToken = aws.String("token")
	first := must(f.CreateService(t.Context(), once))(t).Service
	must(f.UpdateService(t.Context(), &ecs.UpdateServiceInput{Service: aws.String("once"), DesiredCount: aws.Int32(4)}))(t)
	if again := must(f.CreateService(t.Context(), once))(t).Service; *again.ServiceArn != *first.ServiceArn || again.DesiredCount != 4 {
		t.Errorf("%+v", again)
	}
	once.DesiredCount = aws.Int32(2)
	_, err = f.CreateService(t.Context(), once)
	refused(t, err, "InvalidParameterException", "Creation of service was not idempotent.")
	must(f.TagResource(t.Context(), &ecs.TagResourceInput{ResourceArn: first.ServiceArn, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}))(t)
	if tags := must(f.ListTagsForResource(t.Context(), &ecs.ListTagsForResourceInput{ResourceArn: first.ServiceArn}))(t).Tags; len(tags) != 1 {
		t.Errorf("%+v", tags)
	}
}

func TestStopAndContinueDeployment(t *testing.T) {
	f := newFarm(t, 4096, 8192)
	ctx := t.Context()
	arn := must(f.CreateService(ctx, f.service("web", 1)))(t).Service.CurrentServiceDeployment
	_, err := f.ContinueServiceDeployment(ctx, &ecs.ContinueServiceDeploymentInput{ServiceDeploymentArn: arn, HookId: aws.String("h")})
	refused(t, err, "InvalidParameterException", "no lifecycle hook with the hookId h")
	f.changes(t, "web", func(tx *store.Tx, svc *state.Service) {
		d := *deploymentsOf(tx, svc)[0]
		d.Hooks = []state.DeploymentHook{{ID: "h", Status: types.DeploymentLifecycleHookStatusAwaitingAction}}
		store.Deployments.Put(tx, &d)
	})
	must(f.ContinueServiceDeployment(ctx, &ecs.ContinueServiceDeploymentInput{ServiceDeploymentArn: arn, HookId: aws.String("h")}))(t)
	_, err = f.ContinueServiceDeployment(ctx, &ecs.ContinueServiceDeploymentInput{ServiceDeploymentArn: arn, HookId: aws.String("h"), Action: "ROLLBACK"})
	refused(t, err, "ConflictException", "does not wait for an action")
	must(f.StopServiceDeployment(ctx, &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: arn}))(t)
	shown := must(f.DescribeServiceDeployments(ctx, &ecs.DescribeServiceDeploymentsInput{ServiceDeploymentArns: []string{*arn}}))(t).ServiceDeployments[0]
	if shown.Status != "ROLLBACK_REQUESTED" || len(shown.LifecycleHookDetails) != 1 {
		t.Errorf("%+v", shown)
	}
	_, err = f.StopServiceDeployment(ctx, &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: arn, StopType: "ABORT"})
	refused(t, err, "ConflictException", "is ROLLBACK_REQUESTED")
	_, err = f.StopServiceDeployment(ctx, &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: aws.String(arnOf("service-deployment/default/web/none"))})
	refused(t, err, "ServiceDeploymentNotFoundException", "")
	_, err = f.StopServiceDeployment(ctx, &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: aws.String("x")})
	refused(t, err, "InvalidParameterException", "is not an ARN")
}

func TestTaskSetLife(t *testing.T) {
	f := newFarm(t, 4096, 8192)
	ctx, cluster, web := t.Context(), aws.String("default"), aws.String("web")
	must(f.CreateService(ctx, f.service("rolling", 1)))(t)
	svc := must(f.CreateService(ctx, &ecs.CreateServiceInput{ServiceName: web, DesiredCount: aws.Int32(5), DeploymentController: &types.DeploymentController{Type: "EXTERNAL"}}))(t).Service
	if len(svc.Deployments) != 0 || svc.TaskSets == nil || svc.AvailabilityZoneRebalancing != "DISABLED" {
		t.Errorf("%+v", svc)
	}
	in := ecs.CreateTaskSetInput{
		Cluster: cluster, Service: web, TaskDefinition: fargateInput().Family, LaunchType: "FARGATE", NetworkConfiguration: f.input().NetworkConfiguration,
		Scale: &types.Scale{Unit: "PERCENT", Value: 50}, ExternalId: aws.String("x"), ClientToken: aws.String("once"),
		Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}},
	}
	wrong := in
	wrong.Service = aws.String("rolling")
	_, err := f.CreateTaskSet(ctx, &wrong)
	refused(t, err, "InvalidParameterException", "The deployment controller of the service is ECS")
	wrong = in
	wrong.Scale = &types.Scale{Value: 101}
	_, err = f.CreateTaskSet(ctx, &wrong)
	refused(t, err, "InvalidParameterException", "between 0 and 100")
	set := must(f.CreateTaskSet(ctx, &in))(t).TaskSet
	if set.ComputedDesiredCount != 3 || *set.Status != "ACTIVE" || set.StabilityStatus != "STABILIZING" || *set.ExternalId != "x" || *set.StartedBy != *set.Id || set.LaunchType != "FARGATE" ||
		*set.TaskSetArn != arnOf("task-set/default/web/"+*set.Id) {
		t.Errorf("%+v", set)
	}
	if again := must(f.CreateTaskSet(ctx, &in))(t).TaskSet; *again.Id != *set.Id {
		t.Errorf("%+v", again)
	}
	if tags := must(f.ListTagsForResource(ctx, &ecs.ListTagsForResourceInput{ResourceArn: set.TaskSetArn}))(t).Tags; len(tags) != 1 {
		t.Errorf("%+v", tags)
	}
	second := must(f.CreateTaskSet(ctx, func() *ecs.CreateTaskSetInput { i := in; i.ClientToken = nil; return &i }()))(t).TaskSet
	for _, ref := range []*string{set.Id, second.TaskSetArn} {
		if primary := must(f.UpdateServicePrimaryTaskSet(ctx, &ecs.UpdateServicePrimaryTaskSetInput{Cluster: cluster, Service: web, PrimaryTaskSet: ref}))(t).TaskSet; *primary.Status != "PRIMARY" {
			t.Errorf("%+v", primary)
		}
	}
	all := must(f.DescribeTaskSets(ctx, &ecs.DescribeTaskSetsInput{Cluster: cluster, Service: web, TaskSets: []string{*set.Id, *second.Id, "none"}}))(t)
	if len(all.TaskSets) != 2 || *all.TaskSets[0].Status != "ACTIVE" || *all.TaskSets[1].Status != "PRIMARY" || *all.Failures[0].Reason != "MISSING" {
		t.Errorf("%+v", all)
	}
	if up := must(f.UpdateTaskSet(ctx, &ecs.UpdateTaskSetInput{Cluster: cluster, Service: web, TaskSet: set.Id, Scale: &types.Scale{Value: 100}}))(t).TaskSet; up.ComputedDesiredCount != 5 {
		t.Errorf("%+v", up)
	}
	if scaled := must(f.UpdateService(ctx, &ecs.UpdateServiceInput{Service: web, DesiredCount: aws.Int32(2)}))(t).Service; len(scaled.TaskSets) != 2 || scaled.TaskSets[1].ComputedDesiredCount != 2 {
		t.Errorf("%+v", scaled)
	}
	_, err = f.UpdateService(ctx, &ecs.UpdateServiceInput{Service: web, TaskDefinition: fargateInput().Family})
	refused(t, err, "InvalidParameterException", "Unable to update task definition on services with a EXTERNAL deployment controller.")
	_, err = f.DeleteTaskSet(ctx, &ecs.DeleteTaskSetInput{Cluster: cluster, Service: web, TaskSet: set.Id})
	refused(t, err, "InvalidParameterException", "scaled above 0")
	_, err = f.DeleteTaskSet(ctx, &ecs.DeleteTaskSetInput{Cluster: cluster, Service: web, TaskSet: aws.String("none")})
	refused(t, err, "TaskSetNotFoundException", "")
	if gone := must(f.DeleteTaskSet(ctx, &ecs.DeleteTaskSetInput{Cluster: cluster, Service: web, TaskSet: second.Id, Force: aws.Bool(true)}))(t).TaskSet; *gone.Status != "DRAINING" || gone.ComputedDesiredCount != 0 {
		t.Errorf("%+v", gone)
	}
	_, err = f.UpdateTaskSet(ctx, &ecs.UpdateTaskSetInput{Cluster: cluster, Service: web, TaskSet: second.Id, Scale: &types.Scale{Value: 1}})
	refused(t, err, "InvalidParameterException", "draining")
}
