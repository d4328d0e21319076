package services

import (
	"reflect"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/id"
	"github.com/berth/berth/place"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// loaded is a picture with the records as they were.
type loaded struct {
	*picture
	was     *state.Service
	wereOf  []*state.Deployment
	wereSet []*state.TaskSet
	refused bool // a task had no place
	pins    []*state.ServiceRevision
}

// look takes the picture of a service; nil when it is over or isn't there.
func (l *Loop) look(v store.View, k state.Key) *loaded {
	service, ok := store.Services.Get(v, k)
	if !ok || service.Status == inactive {
		return nil
	}
	copied := *service
	p := &loaded{was: service, picture: &picture{
		now: l.now(), service: &copied, tasks: map[string][]*state.Task{}, down: map[string]bool{}, draining: map[string]bool{}, newID: id.UUID,
	}}
	of := service.Cluster + "/" + service.Name + "/"
	for d := range store.Deployments.List(v, service.Scope, of) {
		// Also tasks of those that are INACTIVE: a lost node may bring some back.
		tasks := slices.Collect(store.Tasks.By(v, store.TasksByStarter, d.ID))
		if len(tasks) == 0 && d.Role == state.RoleInactive && !d.FinishedAt.IsZero() && d.CreatedAt.Before(service.CreatedAt) {
			continue // of a service of the same name that was before
		}
		c := *d
		p.deployments, p.wereOf = append(p.deployments, &c), append(p.wereOf, d)
		p.tasks[d.ID] = tasks
	}
	slices.SortStableFunc(p.deployments, func(a, b *state.Deployment) int { return a.CreatedAt.Compare(b.CreatedAt) })
	slices.SortStableFunc(p.wereOf, func(a, b *state.Deployment) int { return a.CreatedAt.Compare(b.CreatedAt) })
	for s := range store.TaskSets.List(v, service.Scope, of) {
		c := *s
		p.sets, p.wereSet = append(p.sets, &c), append(p.wereSet, s)
		p.tasks[s.ID] = slices.Collect(store.Tasks.By(v, store.TasksByStarter, s.ID))
	}
	slices.SortStableFunc(p.sets, func(a, b *state.TaskSet) int { return a.CreatedAt.Compare(b.CreatedAt) })
	slices.SortStableFunc(p.wereSet, func(a, b *state.TaskSet) int { return a.CreatedAt.Compare(b.CreatedAt) })
	for n := range store.Nodes.By(v, store.NodesDown, "") {
		p.down[n.ID] = true
	}
	cluster := service.Scope.Key(service.Cluster)
	for i := range store.Instances.By(v, store.InstancesDraining, cluster.String()) {
		p.draining[i.ID] = true
	}
	p.pin(v)
	if service.Status == active && p.daemon() {
		l.lookAtInstances(v, p)
	}
	p.zones = func() []string { return l.zones(v, p) }
	return p
}

// lookAtInstances finds where a DAEMON is to have tasks.
func (l *Loop) lookAtInstances(v store.View, p *loaded) {
	p.unresolved = true
	d := p.primary()
	if d == nil {
		return
	}
	order, err := l.order(v, p.service, d.ID, d.Revision)
	if err != nil {
		return // the next start would say so; there is none to keep
	}
	p.unresolved, p.busy = false, map[string]bool{}
	for o := range l.launcher.Eligible(v, order) {
		p.eligible = append(p.eligible, o.Instance)
	}
	for id := range p.draining {
		if o, ok := store.Places(v).Offer(order.Cluster.Key(), id); ok {
			p.busy[id] = slices.ContainsFunc(slices.Collect(store.Tasks.By(v, store.TasksByNode, o.Instance.Node)), func(t *state.Task) bool {
				return t.ContainerInstance == id && t.Last != state.Stopped && !daemonTask(v, t)
			})
		}
	}
}

// daemonTask reports whether a task is of a DAEMON.
func daemonTask(v store.View, t *state.Task) bool {
	s, ok := store.Services.Get(v, t.Scope.Key(t.Cluster+"/"+t.Service))
	return ok && s.Spec.V.SchedulingStrategy == types.SchedulingStrategyDaemon
}

// zones are where tasks of a service can be.
func (l *Loop) zones(v store.View, p *loaded) []string {
	d := p.primary()
	order, err := l.order(v, p.service, d.ID, d.Revision)
	if err != nil {
		return nil
	}
	var out []string
	add := func(zone string) {
		if zone != "" && !slices.Contains(out, zone) {
			out = append(out, zone)
		}
	}
	if !order.OnInstances() {
		for _, s := range order.Network.Subnets {
			add(s.Zone)
		}
		return out
	}
	for o := range l.launcher.Eligible(v, order) {
		add(place.Attribute(o.Instance, place.ZoneAttribute))
	}
	return out
}

// changed reports whether a decision has changed anything.
func (p *loaded) changed() bool {
	return p.begun() || len(p.pins) > 0 || len(p.counts)+len(p.events)+len(p.after)+len(p.gone) > 0 || !reflect.DeepEqual(p.service, p.was) ||
		slices.ContainsFunc(indexes(p.deployments), func(i int) bool { return !reflect.DeepEqual(p.deployments[i], p.wereOf[i]) }) ||
		slices.ContainsFunc(indexes(p.sets), func(i int) bool { return !reflect.DeepEqual(p.sets[i], p.wereSet[i]) })
}

func indexes[T any](list []T) []int {
	out := make([]int, len(list))
	for i := range out {
		out[i] = i
	}
	return out
}
