// Package images is a node's image store: containerd's content store, metadata
// and snapshotter as libraries in this process, in one directory that no other
// process uses.
//
// It knows images and the read-only bases that containers run on, and nothing of
// containers: who has a base counts as one that uses it.
//
//	content/      blobs by digest
//	meta.db       names, leases, what refers to what (bbolt)
//	overlayfs/    unpacked layers; native/ where the host cannot mount an overlay
//	              on this directory
//
// What is kept: an image's name keeps its manifest, config, layers and unpacked
// snapshots, by the labels that containerd's collector reads; a base
// (a view of the topmost layer) keeps the snapshots below it, and is kept itself
// until neither an image nor a container has it. A pull or an import holds a lease until the name
// is written, so one that was cut off leaves blobs without a name or a lease,
// which the next Open collects. Removing a name frees what nothing else keeps.
//
// A pull asks the registry by HEAD for the digest of a name, and fetches what is
// not there: parallel blobs at a time of all pulls together, each once, whoever
// wants it. What may pass is tried again, and a blob goes on where it was cut off.
// A killed process leaves the lease of its pull, which the next one of the same
// name takes up within an hour and the same boot. Layers are unpacked in order
// while others come, and are on the disk before the name is written.
//
// Nothing that comes is trusted. Manifests, configs, tokens, layers, files and
// their sizes have bounds; blobs are held to their digests; archive.Apply keeps
// files inside of their layer, and marks of overlays don't come through.
//
// Images of eStargz layers may be used before those are there (lazy.go): their
// files are shown by a process that outlives this one (package lazy), and the
// layers come behind. A base is then of the mounts, until nobody runs on it.
//
// Tend removes images when the disk fills. It is given the images of all tasks,
// and asks for them while nobody can pull the one that it looks at. Order of
// calls: Open, Take for each base in use, Taken, then any.
//
// The tests run against a registry on loopback with faults in between
// (world_test.go), as root.
//
// Errors of Pull are *runtime.PullError in the words of ECS.
package images
