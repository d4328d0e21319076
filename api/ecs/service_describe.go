package ecs

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/arn"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// maxServiceEvents is how many events of a service are shown (SDK, types.Service.Events).
const maxServiceEvents = 100

// DescribeServices returns up to 10 services, in any status; those that are not
// there are failures with reason MISSING.
func (s *Service) DescribeServices(ctx context.Context, in *ecs.DescribeServicesInput) (*ecs.DescribeServicesOutput, error) {
	caller, v := wire.CallerFrom(ctx), s.store.View()
	for _, f := range in.Include {
		if f != types.ServiceFieldTags {
			return nil, invalid("Invalid include value: %s. Accepted values: [TAGS]", f)
		}
	}
	if len(in.Services) == 0 {
		return nil, invalid("Services cannot be empty.")
	}
	if len(in.Services) > 10 {
		return nil, invalid("Services cannot have more than 10 elements.")
	}
	cluster, err := s.cluster(v, caller, in.Cluster)
	if err != nil {
		return nil, err
	}
	out := &ecs.DescribeServicesOutput{Services: []types.Service{}, Failures: []types.Failure{}}
	seen := map[string]bool{}
	for _, ref := range in.Services {
		svc, err := findService(v, caller, cluster, ref)
		if err != nil {
			return nil, err
		}
		full := ref
		switch {
		case svc != nil:
			full = svc.ARN()
		case !arn.Is(ref):
			full = (&state.Service{Scope: cluster.Scope, Cluster: cluster.Name, Name: ref}).ARN()
		}
		if seen[full] {
			continue
		}
		if seen[full] = true; svc == nil {
			out.Failures = append(out.Failures, types.Failure{Arn: &full, Reason: aws.String("MISSING")})
			continue
		}
		out.Services = append(out.Services, s.renderService(v, svc, slices.Contains(in.Include, types.ServiceFieldTags)))
	}
	return out, nil
}

// ListServices returns the ARNs of a cluster's ACTIVE services that pass all
// filters, by name.
func (s *Service) ListServices(ctx context.Context, in *ecs.ListServicesInput) (*ecs.ListServicesOutput, error) {
	caller, v := wire.CallerFrom(ctx), s.store.View()
	limit := 10
	if in.MaxResults != nil {
		var err error
		if limit, err = pageSize(in.MaxResults, 100); err != nil {
			return nil, err
		}
	}
	switch {
	case in.LaunchType != "" && !slices.Contains(in.LaunchType.Values(), in.LaunchType):
		return nil, invalid("Invalid launch type: %s", in.LaunchType)
	case in.SchedulingStrategy != "" && !slices.Contains(in.SchedulingStrategy.Values(), in.SchedulingStrategy):
		return nil, invalid("Invalid scheduling strategy: %s", in.SchedulingStrategy)
	case in.ResourceManagementType != "" && !slices.Contains(in.ResourceManagementType.Values(), in.ResourceManagementType):
		return nil, invalid("Invalid resource management type: %s", in.ResourceManagementType)
	}
	cluster, err := s.activeCluster(v, caller, in.Cluster)
	if err != nil {
		return nil, err
	}
	arns := []string{}
	for svc := range store.Services.List(v, cluster.Scope, cluster.Name+"/") {
		spec := &svc.Spec.V
		if svc.Status == serviceActive && (in.LaunchType == "" || spec.LaunchType == in.LaunchType) &&
			(in.SchedulingStrategy == "" || spec.SchedulingStrategy == in.SchedulingStrategy) &&
			(in.ResourceManagementType == "" || spec.ResourceManagementType == in.ResourceManagementType) {
			arns = append(arns, svc.ARN())
		}
	}
	out := &ecs.ListServicesOutput{}
	out.ServiceArns, out.NextToken, err = cut(arns, "ecs/ListServices/"+cluster.Name, in.NextToken, limit)
	return out, err
}

// ListServicesByNamespace lists the services of a Cloud Map namespace, of which
// there are none.
func (s *Service) ListServicesByNamespace(_ context.Context, in *ecs.ListServicesByNamespaceInput) (*ecs.ListServicesByNamespaceOutput, error) {
	if aws.ToString(in.Namespace) == "" {
		return nil, invalid("Namespace can not be blank.")
	}
	if _, err := pageSize(in.MaxResults, 100); err != nil {
		return nil, err
	}
	return nil, &types.NamespaceNotFoundException{Message: aws.String("The specified namespace was not found.")}
}

// deploymentsOf are a service's deployments, the newest first.
func deploymentsOf(v store.View, svc *state.Service) []*state.Deployment {
	all := slices.Collect(store.Deployments.List(v, svc.Scope, servicePrefix(svc)))
	slices.SortStableFunc(all, func(a, b *state.Deployment) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return all
}

// revisionOf is a revision of a service by its ID. It is there as long as its
// service.
func revisionOf(v store.View, svc *state.Service, revision string) *state.ServiceRevision {
	r, ok := store.Revisions.Get(v, svc.Scope.Key(servicePrefix(svc)+revision))
	if !ok {
		return &state.ServiceRevision{Scope: svc.Scope, Cluster: svc.Cluster, Service: svc.Name, ID: revision}
	}
	return r
}

// renderService shows a service as ECS does.
func (s *Service) renderService(v store.View, svc *state.Service, tags bool) types.Service {
	out := svc.Spec.V
	out.ServiceArn, out.ServiceName = aws.String(svc.ARN()), &svc.Name
	out.ClusterArn = aws.String((&state.Cluster{Scope: svc.Scope, Name: svc.Cluster}).ARN())
	out.Status, out.DesiredCount, out.CreatedAt = &svc.Status, svc.Desired, &svc.CreatedAt
	out.CreatedBy = text(svc.CreatedBy)
	out.LoadBalancers, out.ServiceRegistries = []types.LoadBalancer{}, []types.ServiceRegistry{}
	out.PlacementConstraints = append([]types.PlacementConstraint{}, out.PlacementConstraints...)
	out.PlacementStrategy = append([]types.PlacementStrategy{}, out.PlacementStrategy...)
	out.Deployments, out.Events = []types.Deployment{}, []types.ServiceEvent{}
	if tags {
		out.Tags = tagsOf(svc.Tags)
	}
	for _, d := range deploymentsOf(v, svc) {
		if svc.Status == serviceInactive || d.ID != svc.Deployment && d.Role == state.RoleInactive {
			continue
		}
		c := countTasks(v, d.ID)
		out.RunningCount += c.running
		out.PendingCount += c.pending
		out.Deployments = append(out.Deployments, renderDeployment(svc, d, revisionOf(v, svc, d.Revision), c))
		addRevision(&out, revisionOf(v, svc, d.Revision).ARN(), d.Desired, c)
		if d.ID == svc.Deployment {
			out.CurrentServiceDeployment = aws.String(d.ARN())
		}
	}
	if external(svc) {
		out.TaskSets = []types.TaskSet{}
		for _, t := range taskSetsOf(v, svc) {
			shown := renderTaskSet(v, svc, t, tags)
			out.TaskSets = append(out.TaskSets, shown)
			out.RunningCount += shown.RunningCount
			out.PendingCount += shown.PendingCount
		}
	}
	for e := range store.ServiceEvents.List(v, svc.Scope, servicePrefix(svc)) {
		out.Events = append(out.Events, types.ServiceEvent{Id: &e.ID, CreatedAt: &e.At, Message: &e.Message})
	}
	slices.Reverse(out.Events)
	out.Events = out.Events[:min(len(out.Events), maxServiceEvents)]
	return out
}

// addRevision adds a deployment's tasks to those of its revision in a service.
func addRevision(svc *types.Service, revision string, desired int32, c counts) {
	at := slices.IndexFunc(svc.CurrentServiceRevisions, func(r types.ServiceCurrentRevisionSummary) bool { return *r.Arn == revision })
	if at < 0 {
		at = len(svc.CurrentServiceRevisions)
		svc.CurrentServiceRevisions = append(svc.CurrentServiceRevisions, types.ServiceCurrentRevisionSummary{Arn: &revision})
	}
	r := &svc.CurrentServiceRevisions[at]
	r.RequestedTaskCount += desired
	r.RunningTaskCount += c.running
	r.PendingTaskCount += c.pending
}

// renderDeployment shows one of deployments[].
func renderDeployment(svc *state.Service, d *state.Deployment, r *state.ServiceRevision, c counts) types.Deployment {
	role := state.RoleActive
	if d.ID == svc.Deployment {
		role = state.RolePrimary
	}
	spec := &r.Spec.V
	return types.Deployment{
		Id: &d.ID, Status: &role, TaskDefinition: spec.TaskDefinition, DesiredCount: d.Desired, RunningCount: c.running, PendingCount: c.pending, FailedTasks: d.FailedTasks,
		CreatedAt: &d.CreatedAt, UpdatedAt: &d.UpdatedAt, CapacityProviderStrategy: spec.CapacityProviderStrategy, LaunchType: spec.LaunchType,
		PlatformVersion: spec.PlatformVersion, PlatformFamily: spec.PlatformFamily, NetworkConfiguration: spec.NetworkConfiguration,
		RolloutState: d.Rollout, RolloutStateReason: text(d.RolloutReason),
	}
}
