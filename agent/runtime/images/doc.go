// Package images is a node's image store: containerd's content store, metadata
// and snapshotter as libraries in this process, in one directory that no other
// process uses.
//
// It knows images and root file systems made from them, and nothing of
// containers: a root file system has a key that its user chose.
//
//	content/      blobs by digest
//	meta.db       names, leases, what refers to what (bbolt)
//	overlayfs/    unpacked layers and root file systems; native/ where the host
//	              cannot mount an overlay on this directory
//
// What is kept: an image's name keeps its manifest, config, layers and unpacked
// snapshots, by the labels that containerd's collector reads; a root file system
// keeps the snapshots below it. A pull or an import holds a lease until the name
// is written, so one that was cut off leaves blobs without a name or a lease,
// which the next Open collects. Removing a name frees what nothing else keeps.
//
// Errors of Pull are *runtime.PullError in the words of ECS.
package images
