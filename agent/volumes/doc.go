// Package volumes keeps the volumes of a node's tasks that are more than a
// directory of the task's storage: Docker volumes of both scopes, EFS file
// systems that the operator mapped to something here, and EBS volumes, which are
// file systems in files.
//
// It knows nothing of containers: it makes directories, which others mount. It
// keeps nothing in memory that it can't find again.
//
// # Order of calls
//
//	v, err := volumes.Open(config)
//	dir, err := v.Provide(ctx, task, spec)   // at any time, twice, after a crash in the middle
//	err = v.Release(ctx, task)               // when no container of the task is left
//	tasks, err := v.Tasks()                  // who have something, for those who look for strays
//	err = v.Destroy()                        // unmounts all; what is shared or kept stays on the disk
//
// # On disk
//
//	shared/<name>/       a Docker volume of scope shared: volume.json, data/
//	tasks/<task>/<name>/ a task's volume: data/, and what that is made of: root/ is
//	                     the whole of an EFS file system, image an EBS volume's file
//	kept/<volume ID>     file of an EBS volume that outlived its task
//
// The directory must be on a mount that is shared with the mount namespaces in
// which containers are made, lest a namespace keep a volume busy that was
// unmounted here.
//
// # Tests
//
// They mount for real and need root. No NFS server is needed: an EFS file system
// may be a local directory.
package volumes
