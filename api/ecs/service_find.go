package ecs

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/arn"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// What Service.Status of a service's record says.
const (
	serviceActive   = "ACTIVE"
	serviceDraining = "DRAINING"
	serviceInactive = "INACTIVE"
)

func serviceNotFound() error {
	return &types.ServiceNotFoundException{Message: aws.String("Service not found.")}
}

// findService finds a service of a cluster by name or ARN, long or short. It
// returns nil without error when there is none.
func findService(v store.View, c wire.Caller, cluster *state.Cluster, ref string) (*state.Service, error) {
	name, err := resourceName(c, ref, "service")
	if err != nil {
		return nil, err
	}
	if arn.Is(ref) {
		if of, rest, long := strings.Cut(name, "/"); long {
			if of != cluster.Name {
				return nil, invalid("Invalid identifier: Identifier is for cluster %s. Your cluster is %s", of, cluster.Name)
			}
			name = rest
		}
	}
	svc, ok := store.Services.Get(v, cluster.Scope.Key(cluster.Name+"/"+name))
	if !ok {
		return nil, nil
	}
	return svc, nil
}

// service finds a service and its cluster for operations on one, in any status.
func (s *Service) service(v store.View, c wire.Caller, clusterRef, ref *string) (*state.Cluster, *state.Service, error) {
	cluster, err := s.activeCluster(v, c, clusterRef)
	if err != nil {
		return nil, nil, err
	}
	if aws.ToString(ref) == "" {
		return nil, nil, invalid("Service can not be blank.")
	}
	svc, err := findService(v, c, cluster, *ref)
	if err == nil && svc == nil {
		err = serviceNotFound()
	}
	return cluster, svc, err
}

// activeService is service, for operations that need one that is ACTIVE.
func (s *Service) activeService(v store.View, c wire.Caller, clusterRef, ref *string) (*state.Cluster, *state.Service, error) {
	cluster, svc, err := s.service(v, c, clusterRef, ref)
	if err == nil && svc.Status != serviceActive {
		err = &types.ServiceNotActiveException{Message: aws.String("Service was not ACTIVE.")}
	}
	return cluster, svc, err
}

// servicePrefix is how the keys of a service's events, revisions, deployments and
// task sets begin.
func servicePrefix(svc *state.Service) string { return svc.Cluster + "/" + svc.Name + "/" }

// external reports whether a service is made of task sets.
func external(svc *state.Service) bool {
	return svc.Spec.V.DeploymentController.Type == types.DeploymentControllerTypeExternal
}

// daemonic reports whether a service has a task on each container instance.
func daemonic(svc *state.Service) bool {
	return svc.Spec.V.SchedulingStrategy == types.SchedulingStrategyDaemon
}
