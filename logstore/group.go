package logstore

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Group is a log group.
type Group struct {
	Name    string
	Created int64 // ms since 1970; set by CreateGroup
	// RetentionDays is how long events are kept, counted from their own time; 0
	// is for ever.
	RetentionDays int32             `json:",omitempty"`
	Class         string            // AWS's name of the class
	Protected     bool              `json:",omitempty"` // from deletion, by who asks for it
	Tags          map[string]string `json:",omitempty"`

	id    uint64
	scope Scope
}

// record is a group on disk.
type record struct {
	ID              uint64
	Account, Region string
	Group
}

func (g *Group) encode() []byte {
	b, err := json.Marshal(record{g.id, g.scope.Account, g.scope.Region, *g})
	if err != nil {
		panic("a log group is always JSON: " + err.Error())
	}
	return b
}

func decodeGroup(b []byte) (*Group, error) {
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, err
	}
	g := r.Group
	g.id, g.scope = r.ID, Scope{r.Account, r.Region}
	return &g, nil
}

// cutoff is the time before which events have expired, in ms since 1970.
func (g *Group) cutoff(now time.Time) int64 {
	if g.RetentionDays == 0 {
		return start.Time
	}
	return now.UnixMilli() - int64(g.RetentionDays)*day
}

const day = 24 * 60 * 60 * 1000 // in ms

// CreateGroup makes a group, or returns ErrGroupExists.
func (s *Store) CreateGroup(scope Scope, g Group) error {
	s.mu.Lock()
	b := s.begin()
	name := groupName{scope, g.Name}
	if s.groups[name] != nil {
		return s.rollback(b, ErrGroupExists)
	}
	g.Tags = maps.Clone(g.Tags)
	g.Created, g.id, g.scope = s.now().UnixMilli(), s.next(), scope
	if err := b.Set(groupKey(scope, g.Name), g.encode(), nil); err != nil {
		return s.rollback(b, err)
	}
	s.groups[name] = &g
	return s.commit(b)
}

// UpdateGroup changes a group's retention, protection and tags, or returns
// ErrNoGroup or change's own error. change gets a copy.
func (s *Store) UpdateGroup(scope Scope, name string, change func(*Group) error) error {
	s.mu.Lock()
	b := s.begin()
	old := s.groups[groupName{scope, name}]
	if old == nil {
		return s.rollback(b, ErrNoGroup)
	}
	g := *old
	g.Tags = maps.Clone(old.Tags)
	err := change(&g)
	if err == nil {
		err = b.Set(groupKey(scope, name), g.encode(), nil)
	}
	if err != nil {
		return s.rollback(b, err)
	}
	s.groups[groupName{scope, name}] = &g
	if err := s.commit(b); err != nil {
		return err
	}
	if g.RetentionDays != old.RetentionDays {
		s.wakeUp()
	}
	return nil
}

// DeleteGroup deletes a group with all its streams and events, or returns
// ErrNoGroup.
func (s *Store) DeleteGroup(scope Scope, name string) error {
	s.mu.Lock()
	b := s.begin()
	g := s.groups[groupName{scope, name}]
	if g == nil {
		return s.rollback(b, ErrNoGroup)
	}
	err := b.Delete(groupKey(scope, name), nil)
	for _, kind := range []byte("secbxd") {
		if err == nil {
			err = deleteRange(b, kind, g.id)
		}
	}
	if err != nil {
		return s.rollback(b, err)
	}
	delete(s.groups, groupName{scope, name})
	delete(s.oldest, g.id)
	return s.commit(b)
}

// deleteRange deletes all keys that start with the kind and numbers.
func deleteRange(b *pebble.Batch, kind byte, n ...uint64) error {
	from := numbers(kind, n...)
	n[len(n)-1]++
	return b.DeleteRange(from, numbers(kind, n...), nil)
}

// Group returns a group, or ErrNoGroup. Its tags must not be changed.
func (s *Store) Group(scope Scope, name string) (Group, error) {
	g, err := s.group(scope, name)
	if err != nil {
		return Group{}, err
	}
	return *g, nil
}

func (s *Store) group(scope Scope, name string) (*Group, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	g := s.groups[groupName{scope, name}]
	if g == nil {
		return nil, ErrNoGroup
	}
	return g, nil
}

// Groups returns the scope's groups, by name.
func (s *Store) Groups(scope Scope) []Group {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []Group
	for name, g := range s.groups {
		if name.Scope == scope {
			all = append(all, *g)
		}
	}
	slices.SortFunc(all, func(a, b Group) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// StoredBytes returns how much the group's events have, as CloudWatch Logs
// counts: their messages, and 26 bytes for each. Expired events leave it a day
// at a time.
func (s *Store) StoredBytes(scope Scope, name string) (int64, error) {
	g, err := s.group(scope, name)
	if err != nil {
		return 0, err
	}
	var sum uint64
	err = s.each(numbers('b', g.id, 0), numbers('b', g.id, 1), func(_, v []byte) error {
		n, _ := number(v)
		sum += n
		return nil
	})
	return int64(sum), err
}
