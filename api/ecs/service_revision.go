package ecs

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/arn"
	"github.com/berth/berth/internal/id"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// revise makes the revision of a service that a plan is.
func (s *Service) revise(tx *store.Tx, svc *state.Service, p *plan) *state.ServiceRevision {
	spec, now := &svc.Spec.V, s.now()
	r := &state.ServiceRevision{
		Scope: svc.Scope, Cluster: svc.Cluster, Service: svc.Name, ID: id.Digits(20), Family: p.Definition.Family, Revision: p.Definition.Revision,
		LaunchType: p.Launch, CPU: p.CPU, Memory: p.Memory, ExecuteCommand: spec.EnableExecuteCommand, PropagateTags: spec.PropagateTags,
		ManagedTags: spec.EnableECSManagedTags, CreatedAt: now,
	}
	r.Spec.V = types.ServiceRevision{
		ServiceRevisionArn: aws.String(r.ARN()), ServiceArn: aws.String(svc.ARN()), ClusterArn: aws.String(p.Cluster.ARN()),
		TaskDefinition: p.Definition.Spec.V.TaskDefinitionArn, CapacityProviderStrategy: p.strategy,
		NetworkConfiguration: shownNetwork(p.network), CreatedAt: &now,
	}
	if len(p.strategy) == 0 {
		r.Spec.V.LaunchType = p.Launch
	}
	if !p.OnInstances() {
		r.Spec.V.PlatformVersion, r.Spec.V.PlatformFamily = &p.Platform, aws.String("Linux")
	}
	store.Revisions.Put(tx, r)
	return r
}

// deploy makes the deployment that brings a service to a revision, its PRIMARY
// one from now on. The caller writes the service.
func (s *Service) deploy(tx *store.Tx, svc *state.Service, r *state.ServiceRevision) {
	now := s.now()
	d := &state.Deployment{
		Scope: svc.Scope, Cluster: svc.Cluster, Service: svc.Name, ID: "ecs-svc/" + id.Digits(19), Number: id.Hex(10), Revision: r.ID,
		Role: state.RolePrimary, Desired: svc.Desired, Rollout: types.DeploymentRolloutStateInProgress, Status: types.ServiceDeploymentStatusPending,
		CreatedAt: now, UpdatedAt: now,
	}
	d.RolloutReason = "ECS deployment " + d.ID + " in progress."
	d.Config.V = *svc.Spec.V.DeploymentConfiguration
	for _, old := range deploymentsOf(tx, svc) {
		if c := countTasks(tx, old.ID); c.running+c.pending > 0 && !slices.Contains(d.Sources, old.Revision) {
			d.Sources = append(d.Sources, old.Revision)
		}
	}
	store.Deployments.Put(tx, d)
	svc.Deployment = d.ID
}

// counts are the tasks of a deployment or task set: those that shall run, and do
// or are on their way there.
type counts struct{ running, pending int32 }

func countTasks(v store.View, starter string) counts {
	var c counts
	for t := range store.Tasks.By(v, store.TasksByStarter, starter) {
		switch {
		case t.Desired != state.Running:
		case t.Last == state.Running:
			c.running++
		case t.Last < state.Running:
			c.pending++
		}
	}
	return c
}

// DescribeServiceRevisions returns up to 20 revisions; those that are not there
// are failures with reason MISSING.
func (s *Service) DescribeServiceRevisions(ctx context.Context, in *ecs.DescribeServiceRevisionsInput) (*ecs.DescribeServiceRevisionsOutput, error) {
	caller, v := wire.CallerFrom(ctx), s.store.View()
	out := &ecs.DescribeServiceRevisionsOutput{ServiceRevisions: []types.ServiceRevision{}, Failures: []types.Failure{}}
	if n := len(in.ServiceRevisionArns); n < 1 || n > 20 {
		return nil, invalid("serviceRevisionArns must have 1 to 20 elements.")
	}
	for _, ref := range in.ServiceRevisionArns {
		key, err := partKey(caller, ref, "service-revision")
		if err != nil {
			return nil, err
		}
		r, ok := store.Revisions.Get(v, key)
		if !ok {
			out.Failures = append(out.Failures, types.Failure{Arn: aws.String(ref), Reason: aws.String("MISSING")})
			continue
		}
		out.ServiceRevisions = append(out.ServiceRevisions, renderRevision(v, r))
	}
	return out, nil
}

// partKey is the key of a service's revision or deployment, of which only ARNs are
// known: kind/cluster/service/id.
func partKey(c wire.Caller, ref, kind string) (state.Key, error) {
	if !arn.Is(ref) {
		return state.Key{}, invalid("Invalid identifier: %s is not an ARN.", ref)
	}
	name, err := resourceName(c, ref, kind)
	if err != nil {
		return state.Key{}, err
	}
	if strings.Count(name, "/") != 2 {
		return state.Key{}, invalid("Invalid identifier: %s", ref)
	}
	return scopeOf(c).Key(name), nil
}

// renderRevision shows a revision with the images of its containers: as the
// definition names them, and with the digests that its tasks run.
func renderRevision(v store.View, r *state.ServiceRevision) types.ServiceRevision {
	out := r.Spec.V
	out.ContainerImages = []types.ContainerImage{}
	def, ok := store.TaskDefinitions.Get(v, r.Scope.Key(state.RevisionID(r.Family, r.Revision)))
	if !ok {
		return out
	}
	for _, c := range def.Spec.V.ContainerDefinitions {
		out.ContainerImages = append(out.ContainerImages, types.ContainerImage{ContainerName: c.Name, Image: c.Image, ImageDigest: text(r.Digests[aws.ToString(c.Name)])})
	}
	return out
}
