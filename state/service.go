package state

import (
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/arn"
)

// Service is an ECS service: how many tasks of which revision there shall be.
// Counts of its tasks are not kept: they are counted.
type Service struct {
	Scope
	Cluster string // name
	Name    string
	// Spec is what the user said, as DescribeServices shows it: controller,
	// scheduling strategy, deploymentConfiguration, placement, network, launch type
	// or strategy, task definition. Its desiredCount, counts, status, deployments,
	// events and tags are not used.
	Spec Spec[types.Service, *types.Service]
	// Desired is the desired count; of a DAEMON the loop's own count of instances.
	Desired int32
	// Status is ACTIVE, DRAINING or INACTIVE.
	Status string
	// Deployment is the ID of the deployment that is PRIMARY; empty for the
	// controller EXTERNAL.
	Deployment string `json:",omitempty"`
	// PrimaryTaskSet is the ID of the PRIMARY task set of the controller EXTERNAL.
	PrimaryTaskSet string `json:",omitempty"`
	Tags           []Tag  `json:",omitempty"`
	CreatedAt      time.Time
	CreatedBy      string    `json:",omitempty"` // ARN of the principal
	DeletedAt      time.Time `json:",omitzero"`  // when it became INACTIVE
	// LastEvent is the number of its newest event.
	LastEvent int64 `json:",omitempty"`
	// SteadyAt is when it last reached a steady state; zero while it isn't in one.
	SteadyAt time.Time `json:",omitzero"`
	// Starts throttles the starts of tasks that fail again and again.
	Starts Backoff `json:",omitzero"`
	// Unplaced is the reason why its last task had no place, so that the event of it
	// is not repeated; empty once one was placed.
	Unplaced string `json:",omitempty"`
	// Rebalance is the ID of the task that was started to be in another availability
	// zone, until it is up; RebalancedAt when one last was.
	Rebalance    string    `json:",omitempty"`
	RebalancedAt time.Time `json:",omitzero"`
}

// Backoff is how long the next try waits after tries that failed in a row.
type Backoff struct {
	Failed int       // in a row
	Until  time.Time `json:",omitzero"` // no try before
}

// Key is "cluster/name".
func (s *Service) Key() Key { return s.Scope.Key(s.Cluster + "/" + s.Name) }

// ARN returns the service's (long) ARN.
func (s *Service) ARN() string {
	return arn.ECS(s.Region, s.Account, "service/"+s.Cluster+"/"+s.Name)
}

// Group is the group of its tasks.
func (s *Service) Group() string { return "service:" + s.Name }

// ServiceEvent is one line of what happened to a service. The last 100 are kept
// (Amazon ECS Developer Guide, "Amazon ECS service event messages").
type ServiceEvent struct {
	Scope
	Cluster, Service string
	Number           int64 // grows by one with each event of the service
	ID               string
	At               time.Time
	Message          string
}

// Key is "cluster/service/number", the number in 12 digits, so that keys sort
// as events happened.
func (e *ServiceEvent) Key() Key {
	return e.Scope.Key(fmt.Sprintf("%s/%s/%012d", e.Cluster, e.Service, e.Number))
}

// ServiceRevision is what the tasks of a deployment or task set are started from.
// But for Digests it never changes.
type ServiceRevision struct {
	Scope
	Cluster, Service string
	ID               string // 20 digits, as AWS's
	// Spec is what DescribeServiceRevisions shows, without containerImages.
	Spec Spec[types.ServiceRevision, *types.ServiceRevision]
	// Family and Revision of the task definition.
	Family   string
	Revision int32
	// What a launch.Order needs beside those, as it was when the revision was made.
	LaunchType     types.LaunchType // FARGATE, EC2, EXTERNAL; with a strategy what its providers are
	CPU, Memory    int32            // CPU units, MiB; 0 for none
	ExecuteCommand bool             `json:",omitempty"`
	PropagateTags  types.PropagateTags
	ManagedTags    bool `json:",omitempty"` // enableECSManagedTags
	// Digests are those of its containers' images, by the containers' names, as the
	// first task that ran had them: later ones have the same (Amazon ECS Developer
	// Guide, "Container image resolution").
	Digests   map[string]string `json:",omitempty"`
	CreatedAt time.Time
}

// Key is "cluster/service/id".
func (r *ServiceRevision) Key() Key { return r.Scope.Key(r.Cluster + "/" + r.Service + "/" + r.ID) }

// ARN returns the revision's ARN.
func (r *ServiceRevision) ARN() string {
	return arn.ECS(r.Region, r.Account, "service-revision/"+r.Cluster+"/"+r.Service+"/"+r.ID)
}

// Deployment brings a service to a revision. It is both what DescribeServices
// shows among deployments[] and what DescribeServiceDeployments shows.
type Deployment struct {
	Scope
	Cluster, Service string
	ID               string   // "ecs-svc/" and 19 digits: deployments[].id, and its tasks' startedBy
	Number           string   // 20 characters: the last part of the service deployment's ARN
	Revision         string   // target revision's ID
	Sources          []string `json:",omitempty"` // IDs of revisions that had tasks when it began
	// Config is the deploymentConfiguration at its start.
	Config Spec[types.DeploymentConfiguration, *types.DeploymentConfiguration]
	// Role is PRIMARY, ACTIVE (replaced, with tasks left), or INACTIVE.
	Role string
	// Desired is how many tasks of this deployment there shall be now.
	Desired int32
	// Failed counts the tasks that failed to start or to become healthy since the
	// last that did: the circuit breaker's count. FailedTasks in all.
	Failed      int32
	FailedTasks int32
	// Proven is how many of its tasks were up and well when it was last looked at.
	Proven int32 `json:",omitempty"`

	// Rollout as deployments[] shows it.
	Rollout       types.DeploymentRolloutState
	RolloutReason string
	// Status and Stage as service deployments show it.
	Status       types.ServiceDeploymentStatus
	StatusReason string                                `json:",omitempty"`
	Stage        types.ServiceDeploymentLifecycleStage `json:",omitempty"`
	StageAt      time.Time                             `json:",omitzero"` // when the stage began
	// StopRequested is what StopServiceDeployment asked for: ABORT or ROLLBACK.
	StopRequested types.StopServiceDeploymentStopType `json:",omitempty"`
	// Replaces is the ID of the deployment whose tasks work until this one's take
	// their place, of the strategies that keep both: chosen when its stages begin.
	Replaces string `json:",omitempty"`
	// Hooks are those of the stage it is in, and of the stages before.
	Hooks []DeploymentHook `json:",omitempty"`
	// RollbackOf is the ID of the deployment that this one takes back.
	RollbackOf string `json:",omitempty"`
	// Rollback is what a deployment that was taken back shows of it.
	RollbackReason   string    `json:",omitempty"`
	RollbackRevision string    `json:",omitempty"`
	RollbackAt       time.Time `json:",omitzero"`

	CreatedAt  time.Time
	StartedAt  time.Time `json:",omitzero"`
	UpdatedAt  time.Time
	FinishedAt time.Time `json:",omitzero"`
	StoppedAt  time.Time `json:",omitzero"`
}

// DeploymentHook is a lifecycle hook that a deployment came to. Only those that
// pause there are: types.DeploymentLifecycleHookTargetTypePause.
type DeploymentHook struct {
	ID     string // UUID
	Hook   int    // its place in Config's LifecycleHooks
	Stage  types.DeploymentLifecycleHookStage
	Status types.DeploymentLifecycleHookStatus
	// Expires is when TimeoutAction is taken.
	Expires       time.Time
	TimeoutAction types.DeploymentLifecycleHookAction
	// Action is what ContinueServiceDeployment asked for; empty until then.
	Action types.DeploymentLifecycleHookAction `json:",omitempty"`
}

// The roles of a deployment, and of a task set.
const (
	RolePrimary  = "PRIMARY"
	RoleActive   = "ACTIVE"
	RoleDraining = "DRAINING" // of a task set
	RoleInactive = "INACTIVE"
)

// Key is "cluster/service/number".
func (d *Deployment) Key() Key { return d.Scope.Key(d.Cluster + "/" + d.Service + "/" + d.Number) }

// ARN returns the service deployment's ARN.
func (d *Deployment) ARN() string {
	return arn.ECS(d.Region, d.Account, "service-deployment/"+d.Cluster+"/"+d.Service+"/"+d.Number)
}

// TaskSet is a set of tasks of one revision, of a service whose deployment
// controller is EXTERNAL or CODE_DEPLOY.
type TaskSet struct {
	Scope
	Cluster, Service string
	ID               string // "ecs-svc/" and 19 digits, and its tasks' startedBy
	Revision         string // its revision's ID
	ExternalID       string `json:",omitempty"`
	// Percent of the service's desired count that it shall have.
	Percent float64
	Status  string // PRIMARY, ACTIVE, DRAINING
	Tags    []Tag  `json:",omitempty"`
	// Stability is whether it has what it shall have, and since when.
	Stability   types.StabilityStatus
	StabilityAt time.Time
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Key is "cluster/service/id".
func (t *TaskSet) Key() Key { return t.Scope.Key(t.Cluster + "/" + t.Service + "/" + t.ID) }

// ARN returns the task set's ARN.
func (t *TaskSet) ARN() string {
	return arn.ECS(t.Region, t.Account, "task-set/"+t.Cluster+"/"+t.Service+"/"+t.ID)
}
