package store

import "github.com/berth/berth/place"

// Places is the capacity as the view shows it: nodes, container instances and
// what tasks hold of them, ordered so that decisions are quick. It is kept
// current with each record that is written.
func Places(v View) *place.Index {
	v.scan(Nodes.d)
	v.scan(Instances.d)
	return v.scan(Tasks.d).places
}
