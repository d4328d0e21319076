package place

import (
	"cmp"
	"hash/fnv"
	"strings"
)

// rank is a place in an order: by a, b and c, then by ID.
type rank struct {
	a, b, c int64
	id      string
}

func (r rank) compare(s rank) int {
	switch {
	case r.a != s.a:
		return cmp.Compare(r.a, s.a)
	case r.b != s.b:
		return cmp.Compare(r.b, s.b)
	case r.c != s.c:
		return cmp.Compare(r.c, s.c)
	}
	return strings.Compare(r.id, s.id)
}

// knot is a node of a ranking: a search tree by rank that is a heap by priority,
// which is a hash of the ID, and so balanced whatever comes (a treap). It never
// changes: with and without return trees that share most of it. nil is empty.
type knot[E any] struct {
	rank        rank
	priority    uint32
	entry       E
	cpu, memory int64 // free here
	left, right *knot[E]
	// size counts the subtree's entries; mostCPU and mostMemory are the most that
	// one of them has free.
	size                int
	mostCPU, mostMemory int64
}

// leaf is an entry by itself, to be put into a tree.
func leaf[E any](r rank, entry E, cpu, memory int64) *knot[E] {
	h := fnv.New32a()
	h.Write([]byte(r.id))
	return &knot[E]{rank: r, priority: h.Sum32(), entry: entry, cpu: cpu, memory: memory, size: 1, mostCPU: cpu, mostMemory: memory}
}

func (n *knot[E]) count() int {
	if n == nil {
		return 0
	}
	return n.size
}

// over is a copy of n with other subtrees.
func (n *knot[E]) over(left, right *knot[E]) *knot[E] {
	c := *n
	c.left, c.right = left, right
	c.size, c.mostCPU, c.mostMemory = 1, c.cpu, c.memory
	for _, s := range [2]*knot[E]{left, right} {
		if s != nil {
			c.size += s.size
			c.mostCPU, c.mostMemory = max(c.mostCPU, s.mostCPU), max(c.mostMemory, s.mostMemory)
		}
	}
	return &c
}

// with is the tree with an entry that isn't in it.
func (n *knot[E]) with(k *knot[E]) *knot[E] {
	switch {
	case n == nil:
		return k
	case k.priority > n.priority || k.priority == n.priority && k.rank.id > n.rank.id:
		left, right := n.split(k.rank)
		return k.over(left, right)
	case k.rank.compare(n.rank) < 0:
		return n.over(n.left.with(k), n.right)
	}
	return n.over(n.left, n.right.with(k))
}

// split divides the tree into what is before a rank and what is after it.
func (n *knot[E]) split(at rank) (left, right *knot[E]) {
	switch {
	case n == nil:
		return nil, nil
	case n.rank.compare(at) < 0:
		l, r := n.right.split(at)
		return n.over(n.left, l), r
	}
	l, r := n.left.split(at)
	return l, n.over(r, n.right)
}

// without is the tree without the entry at a rank, if it is there.
func (n *knot[E]) without(at rank) *knot[E] {
	if n == nil {
		return nil
	}
	switch order := at.compare(n.rank); {
	case order < 0:
		return n.over(n.left.without(at), n.right)
	case order > 0:
		return n.over(n.left, n.right.without(at))
	}
	return join(n.left, n.right)
}

// join is the tree of two of which the first's ranks are all before the second's.
func join[E any](a, b *knot[E]) *knot[E] {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.priority > b.priority || a.priority == b.priority && a.rank.id > b.rank.id:
		return a.over(a.left, join(a.right, b))
	}
	return b.over(join(a, b.left), b.right)
}

// each calls yield with the entries that have so much free, in order, until it
// returns false, which each then returns.
func (n *knot[E]) each(cpu, memory int64, yield func(E) bool) bool {
	if n == nil || n.mostCPU < cpu || n.mostMemory < memory {
		return true
	}
	return n.left.each(cpu, memory, yield) && (n.cpu < cpu || n.memory < memory || yield(n.entry)) && n.right.each(cpu, memory, yield)
}

// from is each for the entries at and after a position, from 0.
func (n *knot[E]) from(position int, cpu, memory int64, yield func(E) bool) bool {
	if n == nil || position >= n.size || n.mostCPU < cpu || n.mostMemory < memory {
		return true
	}
	before := n.left.count()
	if position < before && !n.left.from(position, cpu, memory, yield) {
		return false
	}
	if position <= before && n.cpu >= cpu && n.memory >= memory && !yield(n.entry) {
		return false
	}
	return n.right.from(max(position-before-1, 0), cpu, memory, yield)
}
