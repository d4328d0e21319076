package ecs

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/arn"
	"github.com/berth/berth/internal/fidelity"
	"github.com/berth/berth/launch"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// Config is what a Service needs. All fields are required.
type Config struct {
	Store *store.Store
	// Now is the clock of createdAt, registeredAt and their like.
	Now func() time.Time
	Log *slog.Logger
	// Launcher starts tasks.
	Launcher *launch.Launcher
	// Sessions are where ExecuteCommand's clients go.
	Sessions Sessions
}

// Service is the ECS API over a store.
type Service struct {
	store    *store.Store
	now      func() time.Time
	log      *slog.Logger
	launcher *launch.Launcher
	sessions Sessions
	ledger   *fidelity.Ledger
}

// New returns the ECS API. It panics when the embedded ledger is malformed,
// which its test keeps from happening.
func New(cfg Config) *Service {
	return &Service{
		store:    cfg.Store,
		now:      cfg.Now,
		log:      cfg.Log,
		launcher: cfg.Launcher,
		sessions: cfg.Sessions,
		ledger:   Ledger(),
	}
}

// scopeOf is where a caller's resources are.
func scopeOf(c wire.Caller) state.Scope { return state.Scope{Account: c.Account, Region: c.Region} }

// cluster finds a cluster, ACTIVE or INACTIVE, by name or ARN; nil and empty
// are "default" (SDK, e.g. RunTaskInput.Cluster).
func (s *Service) cluster(v store.View, c wire.Caller, ref *string) (*state.Cluster, error) {
	name, err := clusterName(c, aws.ToString(ref))
	if err != nil {
		return nil, err
	}
	if !nameRule.MatchString(name) {
		return nil, invalid(`Cluster must match ^[a-zA-Z0-9\-_]{1,255}$, but was %s`, name)
	}
	cluster, ok := store.Clusters.Get(v, scopeOf(c).Key(name))
	if !ok {
		return nil, clusterNotFound()
	}
	return cluster, nil
}

// clusterName is the name in a reference to a cluster.
func clusterName(c wire.Caller, ref string) (string, error) {
	if ref == "" {
		return "default", nil
	}
	return resourceName(c, ref, "cluster")
}

func clusterNotFound() error {
	return &types.ClusterNotFoundException{Message: aws.String("Cluster not found.")}
}

// resourceName takes a name, or an ARN of the given kind in the caller's
// account and region, and returns the name: what follows "kind/" in an ARN.
func resourceName(c wire.Caller, ref, kind string) (string, error) {
	if !arn.Is(ref) {
		return ref, nil
	}
	a, err := arn.Parse(ref)
	if err != nil || a.Service != "ecs" || a.Partition != c.Partition() {
		return "", invalid("Invalid identifier: %s", ref)
	}
	got, name, ok := strings.Cut(a.Resource, "/")
	switch {
	case !ok || name == "":
		return "", invalid("Invalid identifier: %s", ref)
	case got != kind:
		return "", invalid("Invalid identifier: Unexpected resource type. Expected: %s. Provided: %s", kind, got)
	case a.Region != c.Region:
		return "", invalid("Invalid identifier: Identifier is for %s. Your region is %s", a.Region, c.Region)
	case a.Account != c.Account:
		return "", invalid("Invalid identifier: Identifier is for %s. Your accountId is %s", a.Account, c.Account)
	}
	return name, nil
}

// taskDefinition finds a definition to run: by family (its latest ACTIVE
// revision), family:revision, or ARN of either form. A revision that is named
// is found in any status; RunTask must look at it.
func (s *Service) taskDefinition(v store.View, c wire.Caller, ref string) (*state.TaskDefinition, error) {
	d, err := findTaskDefinition(v, c, ref)
	if err == nil && d == nil {
		err = clientError("TaskDefinition not found.")
	}
	return d, err
}

// findTaskDefinition is taskDefinition with nil for one that isn't there, which
// some operations answer in other words.
func findTaskDefinition(v store.View, c wire.Caller, ref string) (*state.TaskDefinition, error) {
	family, revision, err := parseTaskDefinition(c, ref)
	if err != nil {
		return nil, err
	}
	if revision != 0 {
		d, _ := store.TaskDefinitions.Get(v, scopeOf(c).Key(state.RevisionID(family, revision)))
		return d, nil
	}
	var latest *state.TaskDefinition
	for d := range store.TaskDefinitions.List(v, scopeOf(c), family+"/") {
		if d.Spec.V.Status == types.TaskDefinitionStatusActive {
			latest = d
		}
	}
	return latest, nil
}

// parseTaskDefinition takes a reference apart; revision is 0 where it has none.
func parseTaskDefinition(c wire.Caller, ref string) (family string, revision int32, err error) {
	if ref == "" {
		return "", 0, clientError("TaskDefinition can not be blank.")
	}
	name, err := resourceName(c, ref, "task-definition")
	if err != nil {
		return "", 0, err
	}
	family, number, found := strings.Cut(name, ":")
	if !found {
		return family, 0, nil
	}
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil || n < 1 {
		return "", 0, invalid("Invalid revision number. Number: %s", number)
	}
	return family, int32(n), nil
}

// clientError is ECS's ClientException.
func clientError(format string, args ...any) error {
	return &types.ClientException{Message: aws.String(fmt.Sprintf(format, args...))}
}
