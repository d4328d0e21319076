package store

import "github.com/berth/berth/state"

// DeleteParts deletes all that a service has beside its own record: events,
// revisions, deployments and task sets.
func DeleteParts(tx *Tx, s *state.Service) {
	prefix := s.Cluster + "/" + s.Name + "/"
	for e := range ServiceEvents.List(tx, s.Scope, prefix) {
		ServiceEvents.Delete(tx, e.Key())
	}
	for r := range Revisions.List(tx, s.Scope, prefix) {
		Revisions.Delete(tx, r.Key())
	}
	for d := range Deployments.List(tx, s.Scope, prefix) {
		Deployments.Delete(tx, d.Key())
	}
	for t := range TaskSets.List(tx, s.Scope, prefix) {
		TaskSets.Delete(tx, t.Key())
	}
}
