// Package runtime is the seam between the agent and what runs containers on
// its host: images, sandboxes (a task's cgroup) and containers.
//
// It knows nothing of tasks, ENIs or AWS. Network namespaces, volumes and files
// like /etc/resolv.conf are given to it as paths.
//
// Implementations: crun (the real one: containerd's stores in process, crun
// under conmon) and fake (in memory, for tests and simulation). runtimetest has
// the suite that both pass.
package runtime
