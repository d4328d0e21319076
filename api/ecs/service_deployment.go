package ecs

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// DescribeServiceDeployments returns up to 20 service deployments; those that are
// not there are failures with reason MISSING.
func (s *Service) DescribeServiceDeployments(ctx context.Context, in *ecs.DescribeServiceDeploymentsInput) (*ecs.DescribeServiceDeploymentsOutput, error) {
	caller, v := wire.CallerFrom(ctx), s.store.View()
	if n := len(in.ServiceDeploymentArns); n < 1 || n > 20 {
		return nil, invalid("serviceDeploymentArns must have 1 to 20 elements.")
	}
	out := &ecs.DescribeServiceDeploymentsOutput{ServiceDeployments: []types.ServiceDeployment{}, Failures: []types.Failure{}}
	for _, ref := range in.ServiceDeploymentArns {
		key, err := partKey(caller, ref, "service-deployment")
		if err != nil {
			return nil, err
		}
		d, ok := store.Deployments.Get(v, key)
		if !ok {
			out.Failures = append(out.Failures, types.Failure{Arn: aws.String(ref), Reason: aws.String("MISSING")})
			continue
		}
		out.ServiceDeployments = append(out.ServiceDeployments, renderServiceDeployment(v, d))
	}
	return out, nil
}

// ListServiceDeployments lists the deployments of a service that pass the filters,
// the newest first.
func (s *Service) ListServiceDeployments(ctx context.Context, in *ecs.ListServiceDeploymentsInput) (*ecs.ListServiceDeploymentsOutput, error) {
	caller, v := wire.CallerFrom(ctx), s.store.View()
	limit := 20
	if in.MaxResults != nil {
		var err error
		if limit, err = pageSize(in.MaxResults, 100); err != nil {
			return nil, err
		}
	}
	for _, status := range in.Status {
		if !slices.Contains(status.Values(), status) {
			return nil, invalid("Invalid service deployment status: %s", status)
		}
	}
	_, svc, err := s.service(v, caller, in.Cluster, in.Service)
	if err != nil {
		return nil, err
	}
	var all []*state.Deployment
	for _, d := range deploymentsOf(v, svc) {
		if (len(in.Status) == 0 || slices.Contains(in.Status, shownStatus(d))) && within(in.CreatedAt, d) {
			all = append(all, d)
		}
	}
	// Keys grow from the newest to the oldest.
	all, next, err := cutBy(all, func(d *state.Deployment) string {
		return fmt.Sprintf("%019d/%s", math.MaxInt64-d.CreatedAt.UnixNano(), d.Number)
	}, "ecs/ListServiceDeployments/"+svc.Cluster+"/"+svc.Name, in.NextToken, limit)
	if err != nil {
		return nil, err
	}
	out := &ecs.ListServiceDeploymentsOutput{ServiceDeployments: []types.ServiceDeploymentBrief{}, NextToken: next}
	for _, d := range all {
		full := renderServiceDeployment(v, d)
		out.ServiceDeployments = append(out.ServiceDeployments, types.ServiceDeploymentBrief{
			ServiceDeploymentArn: full.ServiceDeploymentArn, ServiceArn: full.ServiceArn, ClusterArn: full.ClusterArn, CreatedAt: full.CreatedAt,
			StartedAt: full.StartedAt, FinishedAt: full.FinishedAt, Status: full.Status, StatusReason: full.StatusReason, TargetServiceRevisionArn: full.TargetServiceRevision.Arn,
		})
	}
	return out, nil
}

// within reports whether a deployment was made in a span of time.
func within(span *types.CreatedAt, d *state.Deployment) bool {
	return span == nil || (span.After == nil || !d.CreatedAt.Before(*span.After)) && (span.Before == nil || !d.CreatedAt.After(*span.Before))
}

// ended are the statuses of service deployments to which nothing more happens.
var ended = []types.ServiceDeploymentStatus{
	types.ServiceDeploymentStatusSuccessful, types.ServiceDeploymentStatusStopped, types.ServiceDeploymentStatusRollbackSuccessful, types.ServiceDeploymentStatusRollbackFailed,
}

// changeDeployment writes what change makes of a copy of a service deployment that
// is under way.
func (s *Service) changeDeployment(ctx context.Context, ref *string, change func(d *state.Deployment) error) (*string, error) {
	caller := wire.CallerFrom(ctx)
	key, err := partKey(caller, aws.ToString(ref), "service-deployment")
	if err != nil {
		return nil, err
	}
	return ref, s.store.Update(ctx, func(tx *store.Tx) error {
		old, ok := store.Deployments.Get(tx, key)
		if !ok {
			return &types.ServiceDeploymentNotFoundException{Message: aws.String("The service deployment was not found.")}
		}
		if status := shownStatus(old); status != types.ServiceDeploymentStatusPending && status != types.ServiceDeploymentStatusInProgress {
			return &types.ConflictException{Message: aws.String(fmt.Sprintf("The service deployment is %s, and can be changed only while it is PENDING or IN_PROGRESS.", status)), ResourceIds: []string{*ref}}
		}
		d := *old
		d.Hooks = slices.Clone(old.Hooks)
		if err := change(&d); err != nil {
			return err
		}
		store.Deployments.Put(tx, &d)
		return nil
	})
}

// StopServiceDeployment asks for the end of a deployment that is under way, by
// default with a rollback to the revision before it.
func (s *Service) StopServiceDeployment(ctx context.Context, in *ecs.StopServiceDeploymentInput) (*ecs.StopServiceDeploymentOutput, error) {
	kind := in.StopType
	if kind == "" {
		kind = types.StopServiceDeploymentStopTypeRollback
	}
	if !slices.Contains(kind.Values(), kind) {
		return nil, invalid("Invalid stop type: %s. Accepted values: [ABORT, ROLLBACK]", kind)
	}
	ref, err := s.changeDeployment(ctx, in.ServiceDeploymentArn, func(d *state.Deployment) error {
		d.StopRequested = kind
		return nil
	})
	return &ecs.StopServiceDeploymentOutput{ServiceDeploymentArn: ref}, err
}

// ContinueServiceDeployment answers a lifecycle hook at which a deployment pauses.
func (s *Service) ContinueServiceDeployment(ctx context.Context, in *ecs.ContinueServiceDeploymentInput) (*ecs.ContinueServiceDeploymentOutput, error) {
	action := in.Action
	if action == "" {
		action = types.DeploymentLifecycleHookActionContinue
	}
	if !slices.Contains(action.Values(), action) {
		return nil, invalid("Invalid action: %s. Accepted values: [CONTINUE, ROLLBACK]", action)
	}
	if aws.ToString(in.HookId) == "" {
		return nil, invalid("hookId can not be blank.")
	}
	ref, err := s.changeDeployment(ctx, in.ServiceDeploymentArn, func(d *state.Deployment) error {
		at := slices.IndexFunc(d.Hooks, func(h state.DeploymentHook) bool { return h.ID == *in.HookId })
		if at < 0 {
			return invalid("The service deployment has no lifecycle hook with the hookId %s.", *in.HookId)
		}
		if h := d.Hooks[at]; h.Status != types.DeploymentLifecycleHookStatusAwaitingAction || h.Action != "" {
			return &types.ConflictException{Message: aws.String("The lifecycle hook does not wait for an action."), ResourceIds: []string{*in.HookId}}
		}
		d.Hooks[at].Action = action
		return nil
	})
	return &ecs.ContinueServiceDeploymentOutput{ServiceDeploymentArn: ref}, err
}

// shownStatus is a service deployment's status, with what was asked for and not
// done yet.
func shownStatus(d *state.Deployment) types.ServiceDeploymentStatus {
	switch {
	case d.StopRequested == "" || slices.Contains(ended, d.Status) || d.Status == types.ServiceDeploymentStatusRollbackInProgress:
		return d.Status
	case d.StopRequested == types.StopServiceDeploymentStopTypeAbort:
		return types.ServiceDeploymentStatusStopRequested
	}
	return types.ServiceDeploymentStatusRollbackRequested
}

// renderServiceDeployment shows a deployment as DescribeServiceDeployments does.
func renderServiceDeployment(v store.View, d *state.Deployment) types.ServiceDeployment {
	svc := &state.Service{Scope: d.Scope, Cluster: d.Cluster, Name: d.Service}
	if found, ok := store.Services.Get(v, svc.Key()); ok {
		svc = found
	}
	target := summary(v, svc, d.Revision)
	out := types.ServiceDeployment{
		ServiceDeploymentArn: aws.String(d.ARN()), ServiceArn: aws.String(svc.ARN()), ClusterArn: aws.String((&state.Cluster{Scope: d.Scope, Name: d.Cluster}).ARN()),
		CreatedAt: &d.CreatedAt, StartedAt: when(d.StartedAt), UpdatedAt: &d.UpdatedAt, FinishedAt: when(d.FinishedAt), StoppedAt: when(d.StoppedAt),
		Status: shownStatus(d), StatusReason: text(d.StatusReason), LifecycleStage: d.Stage, DeploymentConfiguration: &d.Config.V,
		SourceServiceRevisions: []types.ServiceRevisionSummary{}, TargetServiceRevision: &target,
		DeploymentCircuitBreaker: breakerOf(svc, d), Alarms: &types.ServiceDeploymentAlarms{Status: types.ServiceDeploymentRollbackMonitorsStatusDisabled},
	}
	for _, source := range d.Sources {
		out.SourceServiceRevisions = append(out.SourceServiceRevisions, summary(v, svc, source))
	}
	if d.RollbackRevision != "" {
		out.Rollback = &types.Rollback{
			Reason: text(d.RollbackReason), StartedAt: when(d.RollbackAt), ServiceRevisionArn: aws.String(revisionOf(v, svc, d.RollbackRevision).ARN()),
		}
	}
	for _, h := range d.Hooks {
		out.LifecycleHookDetails = append(out.LifecycleHookDetails, types.DeploymentLifecycleHookDetail{
			HookId: &h.ID, Status: h.Status, TargetType: types.DeploymentLifecycleHookTargetTypePause, ExpiresAt: when(h.Expires), TimeoutAction: h.TimeoutAction,
		})
	}
	return out
}

// summary shows a revision with the tasks of all its deployments.
func summary(v store.View, svc *state.Service, revision string) types.ServiceRevisionSummary {
	r := revisionOf(v, svc, revision)
	out := types.ServiceRevisionSummary{Arn: aws.String(r.ARN())}
	for d := range store.Deployments.List(v, svc.Scope, servicePrefix(svc)) {
		if d.Revision != revision {
			continue
		}
		c := countTasks(v, d.ID)
		out.RequestedTaskCount += d.Desired
		out.RunningTaskCount += c.running
		out.PendingTaskCount += c.pending
	}
	return out
}

// breakerOf is the circuit breaker of a deployment, as it stands.
func breakerOf(svc *state.Service, d *state.Deployment) *types.ServiceDeploymentCircuitBreaker {
	b := d.Config.V.DeploymentCircuitBreaker
	out := &types.ServiceDeploymentCircuitBreaker{Status: types.ServiceDeploymentRollbackMonitorsStatusDisabled}
	if b == nil || !b.Enable {
		return out
	}
	out.FailureCount, out.Threshold = d.Failed, state.BreakerThreshold(b, svc.Desired)
	switch {
	case d.Failed >= out.Threshold:
		out.Status = types.ServiceDeploymentRollbackMonitorsStatusTriggered
	case d.Rollout != types.DeploymentRolloutStateInProgress:
		out.Status = types.ServiceDeploymentRollbackMonitorsStatusMonitoringComplete
	default:
		out.Status = types.ServiceDeploymentRollbackMonitorsStatusMonitoring
	}
	return out
}
