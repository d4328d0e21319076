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
// Errors of Pull are *runtime.PullError in the words of ECS.
package images
