// Package crun runs containers: an OCI runtime (crun, runc or runsc) makes them, conmon
// watches each one, and containerd's libraries keep the images (see package
// images). It implements runtime.Runtime.
//
// It knows nothing of tasks, interfaces or AWS, and keeps nothing in memory that
// it cannot find again: containers, their output and exit codes outlive this
// process. Open, then any method at any time, then Close. Destroy instead of Close
// removes the instance from the host.
//
// # On disk
//
// All is below the root, which one process uses at a time:
//
//	images/               the image store
//	sandboxes/<id>.json   a task's limits
//	containers/<id>/      one container, the OCI bundle:
//	  rootfs/             its root file system's mount point
//	  shm/                the shared memory of one that pauses
//	  container.json      what it is to run; without it the directory is rubbish
//	  config.json         the OCI runtime's form of that, written at each start
//	  pid                 of its first process, by the OCI runtime
//	  starting            it is about to be released, or just was
//	  started             it was released; the time is when
//	  exit.json           how it ended
//	writable/<task>/      a task's storage (storage.go): its containers' writable
//	                      layers, over those of their images, and its volumes
//	ready/                storages that no task has yet
//	trash/                what is no more, and goes in the background
//	exits/<id>            the exit code, by conmon
//	images/lazy/          layers that are still to come: mounts of a process that
//	                      outlives this one, too
//	logs/<id>             its output, by conmon, in the CRI's format; not rotated,
//	                      and removed by who reads it
//	oci/                  the OCI runtime's state
//	oci-<name>/           another's (see Config.Runtimes), with its program's path
//	seccomp/              compiled seccomp filters
//
// On the host there are also cgroups: /berth/<instance>/<task>/<container>, and
// /berth/<instance>/conmon for the supervisors, in each tree of cgroup v1 or in
// the one of v2.
//
// Small files are made whole by a rename and never synced: what they describe
// goes down with the host. A file that is cut off then counts as missing.
//
// # Steps, and what the next Open makes of a crash after each
//
// CreateSandbox: record, cgroup. After the record: the cgroup is made.
//
// Create: directory, writable layer, mount, container.json. Before the last: all of it
// is removed, as if Create had not been called. After it: created.
//
// Start: config.json; conmon, by which the OCI runtime makes the cgroup and a
// process that waits; starting; release of that process; started in place of
// starting. Before starting: the processes are ended, the container is created,
// as before the call. With starting: the OCI runtime is asked, and released the
// process if it still waits: it runs, once. With started: it runs, or has ended.
//
// The end: conmon reads the output to its end, writes exits/<id> and ends. Its
// end is the event that Wait waits for, by a pidfd; then exit.json is written. A
// supervisor that ended without writing a code was killed, or the host went
// down: what is left of the container is ended and the code is -1.
//
// Remove: container.json, processes, OCI state, cgroup, mount, exit code,
// writable layer, directory. After the first: the rest is done by the next Open.
//
// Exec and ExecStreams: a file with the command, exec-…; the OCI runtime, which
// makes the process and waits for it. All that a command starts has a mark in its
// environment. When it has ended, what is left with its mark is ended, and so is
// by Open whatever has a mark, in containers that it takes up.
//
// # OCI runtimes
//
// Each container may name one of those that the host was given; see engine. What
// differs with runsc (gVisor), where the container's processes are none of the
// host's, is in runsc.go.
//
// # Hosts
//
// crun up to at least 1.8.1 starts no container on hosts whose cgroup v1 tree
// also has a cgroup2 mount with controllers. There it runs in a mount namespace
// without that mount: see spawner. As that shows only such later mounts of the
// host as the host shares, the root is made a shared mount of its own there, and
// a namespace or volume mounted elsewhere is noticed and dealt with at the start.
//
// Without CAP_SYS_RESOURCE, limits above this process's own are brought down to
// them, which is logged once.
//
// # Tests
//
// The conformance suite (package runtimetest) and the tests here run real
// containers and need root. Each run has an instance of its own and fails if
// anything of it is left on the host.
package crun
