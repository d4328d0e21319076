// Package lazy shows the files of image layers that are still to come: eStargz
// layers, whose table of contents says where in the compressed blob each piece of
// each file is. A layer is mounted by FUSE; what is read of it is fetched.
//
// It knows layers and mounts, neither images nor containers. How a blob's bytes
// are had is its caller's (Source).
//
// Mounts must live as long as the containers that run on them, and those outlive
// Berth: so a process of its own has them (Serve, in a process that the image
// store starts), which is spoken to over a socket in its directory (Client). One
// that is there is found by that socket. It ends when it is told to, or when its
// directory is gone.
//
// Nothing that comes is trusted: the table is held to the digest in the image's
// manifest, and each piece to its digest in the table.
//
//	layer.go   a layer: its table, and pieces of files, verified and kept for a while
//	tree.go    the same as a file system, with whiteouts as an overlay knows them
//	serve.go   the process that has the mounts
//	client.go  what speaks to it
//
// Tests build layers and mount them; they need root and /dev/fuse.
package lazy
