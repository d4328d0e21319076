package store

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/statedb/part"

	"github.com/berth/berth/place"
	"github.com/berth/berth/state"
)

// root begins all paths.
const root = "/berth/v1/"

// fences is the table of the fences. A fence has a table's name for its ID and
// is written with each commit that writes to the table, so that its revision
// tells whether anything in the table has changed. Its value is the mark of the
// commit. Nobody but this package sees fences.
const fences = "store/fence"

// image is all records at one revision, as values of immutable radix trees: a
// copy of the struct is a copy of the whole.
type image struct {
	rev     int64
	records part.Tree[*entry] // by table, NUL, key
	index   part.Tree[*entry] // by table, NUL, index, NUL, value, NUL, key
	fences  []int64           // revision of each table's last change, by descriptor.number
	places  *place.Index      // of the records; nil while they are loaded
	// numbered is the number of the last set of changes.
	numbered int64
}

// entry is one record in its place. Only the committer writes one, before
// anybody else can see it.
type entry struct {
	rec any
	key state.Key
	rev int64
}

func newImage() image {
	return image{
		records: part.New[*entry](part.RootOnlyWatch), index: part.New[*entry](part.RootOnlyWatch),
		fences: make([]int64, len(tables)),
	}
}

// descriptor is a table without its type.
type descriptor struct {
	name    string
	number  int
	decode  func([]byte) (rec any, key state.Key, err error)
	indexes func(rec any, file func(index, value string))
}

// split takes a path apart into its table and key.
func split(path string) (table string, key state.Key, err error) {
	p := strings.SplitN(strings.TrimPrefix(path, root), "/", 5)
	if !strings.HasPrefix(path, root) || len(p) != 5 {
		return "", key, fmt.Errorf("%q is not the path of a record", path)
	}
	blank := func(s string) string {
		if s == "-" {
			return ""
		}
		return s
	}
	return p[2] + "/" + p[3], state.Key{Scope: state.Scope{Account: blank(p[0]), Region: blank(p[1])}, ID: p[4]}, nil
}

// join makes a record's path.
func join(table string, k state.Key) string {
	scope := state.Key{Scope: k.Scope}.String()
	return root + scope + table + "/" + k.ID
}

func fencePath(table string) string { return join(fences, state.Key{ID: table}) }

func recordKey(table string, k state.Key) []byte {
	return []byte(table + "\x00" + k.String())
}

func indexKey(table, index, value string, k state.Key) []byte {
	return append(indexPrefix(table, index, value), k.String()...)
}

func indexPrefix(table, index, value string) []byte {
	return []byte(table + "\x00" + index + "\x00" + value + "\x00")
}

// apply makes a committed change. It returns nil for a fence, and for a record
// of a table that this version doesn't know: a newer one may have written it.
func (img *image) apply(rev int64, c Change) (*Event, error) {
	table, key, err := split(c.Path)
	if err != nil {
		return nil, err
	}
	if table == fences {
		if d, ok := tables[key.ID]; ok {
			img.fence(d, rev)
		}
		return nil, nil
	}
	d, ok := tables[table]
	if !ok {
		return nil, nil
	}
	if c.Value == nil {
		return img.remove(d, key), nil
	}
	rec, key, err := d.decode(c.Value)
	if err != nil {
		return nil, fmt.Errorf("read the record %s: %w", c.Path, err)
	}
	return img.put(d, &entry{rec: rec, key: key, rev: rev}), nil
}

// fence notes that the table changed at rev.
func (img *image) fence(d *descriptor, rev int64) {
	img.fences = slices.Clone(img.fences)
	img.fences[d.number] = rev
}

func (img *image) get(d *descriptor, k state.Key) (*entry, bool) {
	e, _, ok := img.records.Get(recordKey(d.name, k))
	return e, ok
}

func (img *image) put(d *descriptor, e *entry) *Event {
	ev := &Event{Table: d.name, Key: e.key, New: e.rec}
	old, had, tree := with(img.records, recordKey(d.name, e.key), e)
	img.records = tree
	if had {
		ev.Old = old.rec
		img.unfile(d, old)
	}
	img.places = img.places.Change(ev.Old, e.rec)
	if set, ok := e.rec.(*state.ChangeSet); ok {
		img.numbered = max(img.numbered, set.Number)
	}
	d.indexes(e.rec, func(index, value string) {
		_, _, img.index = with(img.index, indexKey(d.name, index, value, e.key), e)
	})
	return ev
}

func (img *image) remove(d *descriptor, k state.Key) *Event {
	old, had, tree := without(img.records, recordKey(d.name, k))
	if !had {
		return nil
	}
	img.records = tree
	img.unfile(d, old)
	img.places = img.places.Change(old.rec, nil)
	return &Event{Table: d.name, Key: k, Old: old.rec}
}

func (img *image) unfile(d *descriptor, e *entry) {
	d.indexes(e.rec, func(index, value string) {
		_, _, img.index = without(img.index, indexKey(d.name, index, value, e.key))
	})
}

// with and without change a tree without closing its watch channels, which
// nobody uses here: several versions may then grow from one, and those that are
// given up do no harm.
func with(t part.Tree[*entry], key []byte, e *entry) (old *entry, had bool, changed part.Tree[*entry]) {
	txn := t.Txn()
	old, had = txn.Insert(key, e)
	return old, had, txn.Commit()
}

func without(t part.Tree[*entry], key []byte) (old *entry, had bool, changed part.Tree[*entry]) {
	txn := t.Txn()
	old, had = txn.Delete(key)
	return old, had, txn.Commit()
}
