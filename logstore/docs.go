package logstore

import (
	"bytes"
	"maps"

	"github.com/cockroachdb/pebble/v2"
)

// Docs returns small records that the store's user keeps beside a group, of one
// kind, by name; where group is "", beside the scope itself. Those of a group are
// deleted with it. The kind has no zero byte.
func (s *Store) Docs(scope Scope, group, kind string) (map[string][]byte, error) {
	prefix, err := s.docsOf(scope, group, kind)
	if err != nil {
		return nil, err
	}
	return s.docs(prefix)
}

// UpdateDocs changes the records of a kind as a whole: change gets all of them
// and adds, replaces and deletes. It returns ErrNoGroup, or change's own error
// and then changes nothing.
func (s *Store) UpdateDocs(scope Scope, group, kind string, change func(docs map[string][]byte) error) error {
	s.mu.Lock()
	b := s.begin()
	var id uint64
	if group != "" {
		g := s.groups[groupName{scope, group}]
		if g == nil {
			return s.rollback(b, ErrNoGroup)
		}
		id = g.id
	}
	prefix := docPrefix(scope, id, kind)
	old, err := s.docs(prefix)
	if err == nil {
		docs := maps.Clone(old)
		if err = change(docs); err == nil {
			err = writeDocs(b, prefix, old, docs)
		}
	}
	if err != nil {
		return s.rollback(b, err)
	}
	return s.commit(b)
}

func writeDocs(b *pebble.Batch, prefix []byte, old, docs map[string][]byte) error {
	for name := range old {
		if _, kept := docs[name]; !kept {
			if err := b.Delete(docKey(prefix, name), nil); err != nil {
				return err
			}
		}
	}
	for name, doc := range docs {
		if bytes.Equal(doc, old[name]) {
			continue
		}
		if err := b.Set(docKey(prefix, name), doc, nil); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) docsOf(scope Scope, group, kind string) ([]byte, error) {
	if group == "" {
		return docPrefix(scope, 0, kind), nil
	}
	g, err := s.group(scope, group)
	if err != nil {
		return nil, err
	}
	return docPrefix(scope, g.id, kind), nil
}

func (s *Store) docs(prefix []byte) (map[string][]byte, error) {
	docs := map[string][]byte{}
	err := s.each(prefix, after(prefix), func(k, v []byte) error {
		docs[string(k[len(prefix):])] = bytes.Clone(v)
		return nil
	})
	return docs, err
}
