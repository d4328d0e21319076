package state

import (
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/arn"
)

// Cluster is an ECS cluster.
type Cluster struct {
	Scope
	// Spec has what the user may set: name, settings, configuration,
	// capacityProviders, defaultCapacityProviderStrategy,
	// serviceConnectDefaults. Counts and tags in it are not used.
	Spec   Spec[types.Cluster, *types.Cluster]
	Name   string
	Status string // ACTIVE, INACTIVE
	Tags   []Tag  `json:",omitempty"`
	// CreatedAt is when it was made; DeletedAt when it became INACTIVE.
	CreatedAt time.Time
	DeletedAt time.Time `json:",omitzero"`
}

// Key is the cluster's name in its scope.
func (c *Cluster) Key() Key { return c.Scope.Key(c.Name) }

// ARN returns the cluster's ARN.
func (c *Cluster) ARN() string { return arn.ECS(c.Region, c.Account, "cluster/"+c.Name) }

// Family remembers the last revision number given in a task definition family:
// numbers are never used again, whatever is deleted.
type Family struct {
	Scope
	Name         string
	LastRevision int32
}

// Key is the family's name.
func (f *Family) Key() Key { return f.Scope.Key(f.Name) }

// TaskDefinition is one revision.
type TaskDefinition struct {
	Scope
	Family   string
	Revision int32
	// Spec is the definition as RegisterTaskDefinition returned it, status and
	// times included.
	Spec Spec[types.TaskDefinition, *types.TaskDefinition]
	Tags []Tag `json:",omitempty"`
}

// Key is "family/revision" with the revision in ten digits, so that keys sort
// as revisions do.
func (d *TaskDefinition) Key() Key { return d.Scope.Key(RevisionID(d.Family, d.Revision)) }

// RevisionID is the ID part of a task definition's key.
func RevisionID(family string, revision int32) string {
	return fmt.Sprintf("%s/%010d", family, revision)
}

// ARN returns the revision's ARN.
func (d *TaskDefinition) ARN() string {
	return arn.ECS(d.Region, d.Account, fmt.Sprintf("task-definition/%s:%d", d.Family, d.Revision))
}

// Grant is what was once answered under an idempotency token, so that the same
// call with the same token is answered the same without being done again.
type Grant struct {
	Scope
	// Call and Token: "ecs/RunTask" and the user's clientToken.
	Call  string
	Token string
	// Fingerprint is a hash of the request without its token; the same token
	// with another request is an error.
	Fingerprint string
	// Results are the IDs of what the call made.
	Results []string
	Expires time.Time
}

// Key is "call/token".
func (g *Grant) Key() Key { return g.Scope.Key(g.Call + "/" + g.Token) }
