package ecs

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/id"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// service is a call to CreateService that succeeds.
func (f farm) service(name string, count int32) *ecs.CreateServiceInput {
	in := f.input()
	return &ecs.CreateServiceInput{
		ServiceName: &name, TaskDefinition: in.TaskDefinition, DesiredCount: &count, LaunchType: in.LaunchType, NetworkConfiguration: in.NetworkConfiguration,
	}
}

// starts writes tasks of a service's primary deployment, as its loop would.
func (f farm) starts(t *testing.T, cluster, name string, last ...state.TaskState) {
	t.Helper()
	err := f.st.Update(t.Context(), func(tx *store.Tx) error {
		svc, _ := store.Services.Get(tx, scope.Key(cluster+"/"+name))
		for _, l := range last {
			store.Tasks.Put(tx, &state.Task{Scope: scope, Cluster: cluster, ID: id.Hex(16), Group: svc.Group(), Service: name, StartedBy: svc.Deployment, Deployment: svc.Deployment,
				LaunchType: types.LaunchTypeFargate, Desired: state.Running, Last: l, CreatedAt: time.Now()})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// changes writes what change makes of the records of a service.
func (f farm) changes(t *testing.T, name string, change func(tx *store.Tx, svc *state.Service)) {
	t.Helper()
	err := f.st.Update(t.Context(), func(tx *store.Tx) error {
		old, _ := store.Services.Get(tx, scope.Key("default/"+name))
		svc := *old
		change(tx, &svc)
		store.Services.Put(tx, &svc)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (f farm) describe(t *testing.T, name string) types.Service {
	t.Helper()
	out := must(f.DescribeServices(t.Context(), &ecs.DescribeServicesInput{Services: []string{name}, Include: []types.ServiceField{types.ServiceFieldTags}}))(t)
	if len(out.Services) != 1 {
		t.Fatalf("%+v", out)
	}
	return out.Services[0]
}

func TestServiceLife(t *testing.T) {
	f := newFarm(t, 4096, 8192)
	ctx := t.Context()
	in := f.service("web", 2)
	in.Tags, in.PropagateTags, in.EnableECSManagedTags = []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}, types.PropagateTagsService, true
	in.DeploymentConfiguration = &types.DeploymentConfiguration{DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{Enable: true, Rollback: true}}
	made := must(f.CreateService(ctx, in))(t).Service
	c := made.DeploymentConfiguration
	if *made.ServiceArn != arnOf("service/default/web") || *made.Status != "ACTIVE" || made.DesiredCount != 2 || made.LaunchType != "FARGATE" || *made.PlatformVersion != "LATEST" ||
		*c.MaximumPercent != 200 || *c.MinimumHealthyPercent != 100 || c.Strategy != "ROLLING" || !c.DeploymentCircuitBreaker.Rollback || made.SchedulingStrategy != "REPLICA" ||
		made.DeploymentController.Type != "ECS" || made.AvailabilityZoneRebalancing != "ENABLED" || made.NetworkConfiguration.AwsvpcConfiguration.AssignPublicIp != "DISABLED" || !strings.HasSuffix(*made.TaskDefinition, ":1") {
		t.Errorf("%+v", made)
	}
	first := made.Deployments[0]
	if len(made.Deployments) != 1 || *first.Status != "PRIMARY" || first.DesiredCount != 2 || first.RolloutState != "IN_PROGRESS" || *first.PlatformVersion != "1.4.0" || !strings.HasPrefix(*first.Id, "ecs-svc/") {
		t.Errorf("%+v", made.Deployments)
	}
	if again := must(f.CreateService(ctx, in))(t).Service; *again.Deployments[0].Id != *first.Id {
		t.Errorf("%+v", again)
	}
	other := f.service("web", 3)
	_, err := f.CreateService(ctx, other)
	refused(t, err, "InvalidParameterException", "Creation of service was not idempotent.")

	f.starts(t, "default", "web", state.Running, state.Pending, state.Stopped)
	shown := f.describe(t, *made.ServiceArn)
	if shown.RunningCount != 1 || shown.PendingCount != 1 || shown.Deployments[0].RunningCount != 1 || *shown.Tags[0].Key != "a" ||
		shown.CurrentServiceRevisions[0].RunningTaskCount != 1 || shown.CurrentServiceRevisions[0].RequestedTaskCount != 2 {
		t.Errorf("%+v", shown)
	}
	if l := must(f.ListTasks(ctx, &ecs.ListTasksInput{ServiceName: aws.String("web")}))(t); len(l.TaskArns) != 3 {
		t.Errorf("%+v", l)
	}
	_, err = f.ListTasks(ctx, &ecs.ListTasksInput{ServiceName: aws.String("none")})
	refused(t, err, "ServiceNotFoundException", "Service not found.")
	if c := must(f.DescribeClusters(ctx, &ecs.DescribeClustersInput{}))(t).Clusters[0]; c.ActiveServicesCount != 1 {
		t.Errorf("%+v", c)
	}
	_, err = f.DeleteCluster(ctx, &ecs.DeleteClusterInput{Cluster: aws.String("default")})
	refused(t, err, "ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active.")

	// A count makes no deployment; a definition does.
	scaled := must(f.UpdateService(ctx, &ecs.UpdateServiceInput{Service: aws.String("web"), DesiredCount: aws.Int32(5), EnableExecuteCommand: aws.Bool(true)}))(t).Service
	if scaled.DesiredCount != 5 || len(scaled.Deployments) != 1 || *scaled.Deployments[0].Id != *first.Id || !scaled.EnableExecuteCommand {
		t.Errorf("%+v", scaled)
	}
	same := must(f.UpdateService(ctx, &ecs.UpdateServiceInput{Service: aws.String("web"), TaskDefinition: fargateInput().Family}))(t).Service
	if len(same.Deployments) != 1 {
		t.Errorf("%+v", same.Deployments)
	}
	must(f.RegisterTaskDefinition(ctx, fargateInput()))(t)
	rolled := must(f.UpdateService(ctx, &ecs.UpdateServiceInput{Service: aws.String("web"), TaskDefinition: fargateInput().Family}))(t).Service
	if len(rolled.Deployments) != 2 || *rolled.Deployments[0].Status != "PRIMARY" || *rolled.Deployments[1].Status != "ACTIVE" || *rolled.Deployments[1].Id != *first.Id ||
		!strings.HasSuffix(*rolled.Deployments[0].TaskDefinition, ":2") || rolled.RunningCount != 1 {
		t.Errorf("%+v", rolled.Deployments)
	}
	// What a service uses may be retired, and still be deployed again.
	must(f.DeregisterTaskDefinition(ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: rolled.TaskDefinition}))(t)
	forced := must(f.UpdateService(ctx, &ecs.UpdateServiceInput{Service: aws.String("web"), ForceNewDeployment: true}))(t).Service
	if len(forced.Deployments) != 3 {
		t.Errorf("%+v", forced.Deployments)
	}
	_, err = f.UpdateService(ctx, &ecs.UpdateServiceInput{Service: aws.String("web"), TaskDefinition: rolled.TaskDefinition})
	if err != nil && !strings.Contains(err.Error(), "TaskDefinition is inactive") {
		t.Error(err)
	}

	list := must(f.ListServiceDeployments(ctx, &ecs.ListServiceDeploymentsInput{Service: aws.String("web"), MaxResults: aws.Int32(2)}))(t)
	if len(list.ServiceDeployments) != 2 || list.NextToken == nil || *list.ServiceDeployments[0].ServiceDeploymentArn != *forced.CurrentServiceDeployment {
		t.Fatalf("%+v", list)
	}
	rest := must(f.ListServiceDeployments(ctx, &ecs.ListServiceDeploymentsInput{Service: aws.String("web"), NextToken: list.NextToken}))(t)
	if len(rest.ServiceDeployments) != 1 || *rest.ServiceDeployments[0].TargetServiceRevisionArn != *made.CurrentServiceRevisions[0].Arn {
		t.Errorf("%+v", rest)
	}
	if none := must(f.ListServiceDeployments(ctx, &ecs.ListServiceDeploymentsInput{Service: aws.String("web"), Status: []types.ServiceDeploymentStatus{"SUCCESSFUL"}}))(t); len(none.ServiceDeployments) != 0 {
		t.Errorf("%+v", none)
	}
	if none := must(f.ListServiceDeployments(ctx, &ecs.ListServiceDeploymentsInput{Service: aws.String("web"), CreatedAt: &types.CreatedAt{Before: aws.Time(time.Now().Add(-time.Hour))}}))(t); len(none.ServiceDeployments) != 0 {
		t.Errorf("%+v", none)
	}
	full := must(f.DescribeServiceDeployments(ctx, &ecs.DescribeServiceDeploymentsInput{ServiceDeploymentArns: []string{*forced.CurrentServiceDeployment, arnOf("service-deployment/default/web/x")}}))(t)
	if len(full.Failures) != 1 || *full.Failures[0].Reason != "MISSING" || len(full.ServiceDeployments) != 1 {
		t.Fatalf("%+v", full)
	}
	d := full.ServiceDeployments[0]
	if d.Status != "PENDING" || d.DeploymentCircuitBreaker.Threshold != 3 || d.DeploymentCircuitBreaker.Status != "MONITORING" || len(d.SourceServiceRevisions) != 1 ||
		d.SourceServiceRevisions[0].RunningTaskCount != 1 || d.TargetServiceRevision.RequestedTaskCount != 5 {
		t.Errorf("%+v %+v", d, d.DeploymentCircuitBreaker)
	}
	revisions := must(f.DescribeServiceRevisions(ctx, &ecs.DescribeServiceRevisionsInput{ServiceRevisionArns: []string{*made.CurrentServiceRevisions[0].Arn, arnOf("service-revision/default/web/1")}}))(t)
	if len(revisions.Failures) != 1 || len(revisions.ServiceRevisions) != 1 || revisions.ServiceRevisions[0].LaunchType != "FARGATE" || len(revisions.ServiceRevisions[0].ContainerImages) == 0 {
		t.Errorf("%+v", revisions)
	}

	_, err = f.DeleteService(ctx, &ecs.DeleteServiceInput{Service: aws.String("web")})
	refused(t, err, "InvalidParameterException", "The service cannot be stopped while it is scaled above 0.")
	for range 2 {
		if gone := must(f.DeleteService(ctx, &ecs.DeleteServiceInput{Service: aws.String("web"), Force: aws.Bool(true)}))(t).Service; *gone.Status != "DRAINING" || gone.DesiredCount != 0 {
			t.Errorf("%+v", gone)
		}
	}
	_, err = f.UpdateService(ctx, &ecs.UpdateServiceInput{Service: aws.String("web"), DesiredCount: aws.Int32(1)})
	refused(t, err, "ServiceNotActiveException", "Service was not ACTIVE.")
	_, err = f.CreateService(ctx, f.service("web", 1))
	refused(t, err, "InvalidParameterException", "Unable to Start a service that is still Draining.")
	f.changes(t, "web", func(_ *store.Tx, svc *state.Service) { svc.Status, svc.DeletedAt = "INACTIVE", time.Now() })
	if gone := f.describe(t, "web"); *gone.Status != "INACTIVE" || len(gone.Deployments) != 0 {
		t.Errorf("%+v", gone)
	}
	if l := must(f.ListServices(ctx, &ecs.ListServicesInput{}))(t); len(l.ServiceArns) != 0 {
		t.Errorf("%+v", l)
	}
	_, err = f.DeleteService(ctx, &ecs.DeleteServiceInput{Service: aws.String("web")})
	refused(t, err, "ServiceNotFoundException", "Service not found.")
	again := f.service("web", 1)
	must(f.RegisterTaskDefinition(ctx, fargateInput()))(t)
	if made := must(f.CreateService(ctx, again))(t).Service; *made.Status != "ACTIVE" || len(made.Deployments) != 1 || len(made.Tags) != 0 {
		t.Errorf("%+v", made)
	}
	if l := must(f.ListServiceDeployments(ctx, &ecs.ListServiceDeploymentsInput{Service: aws.String("web")}))(t); len(l.ServiceDeployments) != 1 {
		t.Errorf("%+v", l)
	}
}
