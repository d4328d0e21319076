package services

import (
	"slices"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// pin finds the revisions whose tasks run by now, for the first time: the digests
// of their images are those of all tasks of the revision.
func (p *loaded) pin(v store.View) {
	for _, d := range p.deployments {
		if d.Role == state.RoleInactive {
			continue
		}
		r, ok := store.Revisions.Get(v, revisionKey(p.service, d.Revision))
		if !ok || len(r.Digests) > 0 {
			continue
		}
		i := slices.IndexFunc(p.tasks[d.ID], func(t *state.Task) bool { return t.Last == state.Running })
		if i < 0 {
			continue
		}
		pinned := *r
		pinned.Digests = map[string]string{}
		for _, c := range p.tasks[d.ID][i].Containers {
			if c.ImageDigest != "" {
				pinned.Digests[c.Name] = c.ImageDigest
			}
		}
		if len(pinned.Digests) > 0 {
			p.pins = append(p.pins, &pinned)
		}
	}
}
