package services

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"

	"github.com/berth/berth/internal/id"
	"github.com/berth/berth/launch"
	"github.com/berth/berth/place"
	"github.com/berth/berth/place/query"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// apply writes what was decided.
func (l *Loop) apply(tx *store.Tx, p *loaded) {
	for _, r := range p.pins {
		store.Revisions.Put(tx, r)
	}
	for _, t := range p.counts {
		c := t.Clone()
		c.Counted = true
		store.Tasks.Put(tx, c)
	}
	for _, m := range p.moves {
		c := m.task.Clone()
		c.Deployment = m.to
		store.Tasks.Put(tx, c)
	}
	for _, e := range p.events {
		l.say(tx, p, e)
	}
	l.stop(tx, p)
	for _, s := range p.starts {
		l.start(tx, p, s)
	}
	if p.rollback != nil {
		l.rollBack(tx, p)
	}
	for _, e := range p.after {
		l.say(tx, p, e)
	}
	for i, d := range p.deployments {
		if !reflect.DeepEqual(d, p.wereOf[i]) {
			store.Deployments.Put(tx, d)
		}
	}
	for i, s := range p.sets {
		if !reflect.DeepEqual(s, p.wereSet[i]) {
			store.TaskSets.Put(tx, s)
		}
	}
	for _, s := range p.gone {
		store.TaskSets.Delete(tx, s.Key())
	}
	if !reflect.DeepEqual(p.service, p.was) {
		store.Services.Put(tx, p.service)
	}
}

// stop stops tasks and says so, those of each task set for themselves.
func (l *Loop) stop(tx *store.Tx, p *loaded) {
	of, sets := map[string][]*state.Task{}, []string(nil)
	for _, s := range p.stops {
		t, ok := store.Tasks.Get(tx, s.task.Key())
		if !ok {
			continue
		}
		t = t.Clone()
		if !t.Stop(s.code, s.reason, p.now) {
			continue
		}
		store.Tasks.Put(tx, t)
		if of[s.set] == nil {
			sets = append(sets, s.set)
		}
		of[s.set] = append(of[s.set], t)
	}
	for _, set := range sets {
		l.say(tx, p, stopped(p.service.Name, set, of[set]))
	}
}

// start starts tasks, and says so or why not.
func (l *Loop) start(tx *store.Tx, p *loaded, s start) {
	order, err := l.order(tx, p.service, s.of, s.revision)
	if err != nil {
		l.refuse(tx, p, err.Error(), fmt.Sprintf("%s was unable to place a task. Reason: %s.", subject(p.service.Name, ""), strings.TrimRight(reasonOf(err), ".")))
		return
	}
	s.count = min(s.count, fits(order))
	var tasks []*state.Task
	var refusal *place.Refusal
	if s.on != nil {
		for _, i := range s.on[:min(s.count, len(s.on))] {
			t, no := l.launcher.PlaceOn(tx, order, i)
			if t == nil {
				refusal = no
				continue
			}
			tasks = append(tasks, t)
		}
	} else {
		tasks, refusal = l.place(tx, p, order, s)
	}
	if len(tasks) > 0 {
		set := ""
		if s.set {
			set = s.of
		}
		if s.zone != "" {
			p.service.Rebalance = tasks[0].ID
			l.say(tx, p, startedIn(p.service.Name, s.zone, tasks))
		} else {
			l.say(tx, p, started(p.service.Name, set, tasks))
		}
		if refusal == nil {
			p.service.Unplaced = ""
		}
	}
	if refusal != nil {
		code := refusal.Code()
		if refusal.Fargate && code != place.NoENI {
			code = "FARGATE" // whatever kept which node out, the event is the same
		}
		l.refuse(tx, p, code, refusal.Event(p.service.Name))
	}
}

// place places tasks of an order, each of the capacity provider that is due.
func (l *Loop) place(tx *store.Tx, p *loaded, order *launch.Order, s start) (tasks []*state.Task, refusal *place.Refusal) {
	providers := make([]string, s.count)
	var strategy []types.CapacityProviderStrategyItem
	if r, ok := store.Revisions.Get(tx, revisionKey(p.service, s.revision)); ok {
		strategy = r.Spec.V.CapacityProviderStrategy
	}
	switch {
	case s.zone != "":
		providers[0] = s.provider
		if no := within(order, s.zone); no != nil {
			return nil, no
		}
	case len(strategy) > 0:
		if all := place.Providers(strategy, s.have, s.count); all != nil {
			providers = all
		}
	}
	full := map[string]bool{}
	order.Zones = maps.Clone(s.zones)
	for i, provider := range providers {
		if full[provider] {
			continue
		}
		t, no := l.launcher.Place(tx, order, i, provider)
		if t == nil {
			refusal, full[provider] = no, true
			continue
		}
		order.Zones[t.Zone]++
		tasks = append(tasks, t)
	}
	return tasks, refusal
}

// within keeps an order to one availability zone.
func within(order *launch.Order, zone string) *place.Refusal {
	if !order.OnInstances() {
		order.Network.Subnets = slices.DeleteFunc(slices.Clone(order.Network.Subnets), func(s *state.Subnet) bool { return s.Zone != zone })
		return nil
	}
	x, err := query.Parse("attribute:" + place.ZoneAttribute + " == " + zone)
	if err != nil {
		return place.Refused(place.NoLocation, "in "+zone, nil)
	}
	order.Members = append(slices.Clip(order.Members), x)
	return nil
}

// refuse notes that a task had no place, and says so if that is new.
func (l *Loop) refuse(tx *store.Tx, p *loaded, code, event string) {
	p.refused = true
	p.wait(placeAgain)
	if p.service.Unplaced != code {
		p.service.Unplaced = code
		l.say(tx, p, event)
	}
}

// say writes an event, and forgets the one that is too many.
func (l *Loop) say(tx *store.Tx, p *loaded, message string) {
	s := p.service
	s.LastEvent++
	e := state.ServiceEvent{Scope: s.Scope, Cluster: s.Cluster, Service: s.Name, Number: s.LastEvent, ID: id.UUID(), At: p.now, Message: message}
	made := e
	store.ServiceEvents.Put(tx, &made)
	if old := e; old.Number > keptEvents {
		old.Number -= keptEvents
		store.ServiceEvents.Delete(tx, old.Key())
	}
}

// rollBack makes the deployment that takes another back.
func (l *Loop) rollBack(tx *store.Tx, p *loaded) {
	d := p.rollback
	d.ID, d.Number = "ecs-svc/"+id.Digits(19), id.Digits(20)
	store.Deployments.Put(tx, d)
	p.service.Deployment = d.ID
	if r, ok := store.Revisions.Get(tx, revisionKey(p.service, d.Revision)); ok {
		p.service.Spec.V.TaskDefinition = r.Spec.V.TaskDefinition
	}
}

func revisionKey(s *state.Service, id string) state.Key {
	return (&state.ServiceRevision{Scope: s.Scope, Cluster: s.Cluster, Service: s.Name, ID: id}).Key()
}

// order is what tasks of a revision are. Placement, tags and ECS Exec are as the service has them
// now: to change them makes no revision (SDK, UpdateServiceInput). Its errors go to
// the user.
func (l *Loop) order(v store.View, s *state.Service, of, revision string) (*launch.Order, error) {
	r, ok := store.Revisions.Get(v, revisionKey(s, revision))
	if !ok {
		return nil, fmt.Errorf("the service revision %s is gone", revision)
	}
	cluster, ok := store.Clusters.Get(v, s.Scope.Key(s.Cluster))
	if !ok {
		return nil, errors.New("the cluster is gone")
	}
	definition, ok := store.TaskDefinitions.Get(v, s.Scope.Key(state.RevisionID(r.Family, r.Revision)))
	if !ok {
		return nil, fmt.Errorf("the task definition %s:%d is gone", r.Family, r.Revision)
	}
	o := &launch.Order{
		Scope: s.Scope, Cluster: cluster, Definition: definition, Launch: r.LaunchType, CPU: r.CPU, Memory: r.Memory,
		Group: s.Group(), StartedBy: of, Service: s.Name, Deployment: of, Exec: s.Spec.V.EnableExecuteCommand, Tags: tags(s, definition), Digests: r.Digests,
	}
	if !o.OnInstances() {
		// Fargate's Linux platform is 1.4.0 (AWS Fargate Developer Guide, "Fargate Linux
		// platform versions").
		if o.Platform = aws.ToString(r.Spec.V.PlatformVersion); o.Platform == "" || o.Platform == "LATEST" {
			o.Platform = "1.4.0"
		}
	} else if err := o.Placement(s.Spec.V.PlacementConstraints, s.Spec.V.PlacementStrategy); err != nil {
		return nil, err
	}
	if o.Mode() == types.NetworkModeAwsvpc {
		network, err := launch.Resolve(v, s.Scope, r.Spec.V.NetworkConfiguration)
		if err != nil {
			return nil, err
		}
		o.Network = network
	}
	return o, nil
}

// tags are those of a service's tasks: propagated ones, and ECS's own (Amazon ECS
// Developer Guide, "How Amazon ECS resources are tagged").
func tags(s *state.Service, d *state.TaskDefinition) []state.Tag {
	var out []state.Tag
	switch s.Spec.V.PropagateTags {
	case types.PropagateTagsService:
		out = slices.Clone(s.Tags)
	case types.PropagateTagsTaskDefinition:
		out = slices.Clone(d.Tags)
	}
	if s.Spec.V.EnableECSManagedTags {
		out = append(out, state.Tag{Key: "aws:ecs:clusterName", Value: s.Cluster}, state.Tag{Key: "aws:ecs:serviceName", Value: s.Name})
	}
	return out
}

// fits is how many tasks of an order go into one transaction by their size.
func fits(o *launch.Order) int {
	size := 4096 + 1024*len(o.Definition.Spec.V.ContainerDefinitions)
	for _, t := range o.Tags {
		size += 2 * (len(t.Key) + len(t.Value) + 32)
	}
	return max(1, (3<<20)/size)
}

// reasonOf is an error as a user reads it.
func reasonOf(err error) string {
	if api := smithy.APIError(nil); errors.As(err, &api) {
		return cmp.Or(api.ErrorMessage(), err.Error())
	}
	return err.Error()
}
