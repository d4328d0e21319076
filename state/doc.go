// Package state holds the records that Berth keeps, and the rules that each of
// them obeys by itself. It is pure: no I/O, no clock, no goroutine. It may
// know the SDK's types and the leaves under internal, nothing else of ours.
//
// A record has two halves. The spec is what the user said, kept as AWS's own
// JSON (Spec). The status is ours. Records are values in a store: whoever
// reads one must not change it, but copy it (Clone), change the copy and Put
// that.
//
// Each field has one writer:
//
//	record          field                                   written by
//	Cluster         all                                     api/ecs
//	Family          all                                     api/ecs
//	TaskDefinition  all                                     api/ecs
//	Task            spec, Node, ENI, Placed…, CreatedAt     api/ecs RunTask, once
//	Task            Desired, StopCode, StoppedReason        api/ecs StopTask, control loops: through Task.Stop
//	Task            Last, times, Containers, Health         control/dispatch from the node's reports: through Task.Observe
//	Task            Tags                                    api/ecs
//	Task            Deployment, Counted                     control/services: when a rollback takes a task over, when it ended
//	Task            ProtectedUntil                          api/ecs, control/dispatch for the task itself: through Task.Protect
//	Service         Spec, Desired, Tags, ACTIVE, DRAINING   api/ecs
//	Service         Deployment                              whoever makes a deployment: api/ecs, control/services for rollbacks
//	Service         INACTIVE, and the rest of its status    control/services
//	ServiceEvent    all                                     control/services
//	ServiceRevision all but Digests                         api/ecs, never changed
//	ServiceRevision Digests                                 control/services, once
//	Deployment      all at first, StopRequested, Hooks.Action  api/ecs (control/services: those that roll back)
//	Deployment      the rest                                control/services
//	CapacityProvider all                                    api/ecs
//	AccountSetting  all                                     api/ecs
//	Spot            all                                     launch, for who asks for an interruption
//	TaskSet         all but Stability                       api/ecs
//	TaskSet         Stability                               control/services
//	Node            all but LastSeen, Status                control/nodes at registration
//	Node            LastSeen, Status                        control/nodes
//	ENI             all                                     made with its task (api/ecs), deleted with its stop (control/dispatch)
//	ENI             Tags                                    api/ecs at first, then api/ec2 CreateTags and DeleteTags
//	VPC, Subnet, …  all                                     api/ec2, and Seed at first start
//	SecurityGroup   all                                     api/ec2
//	Grant           all                                     api/ecs (idempotency tokens)
//
// What has had its time, like a task that stopped an hour ago, is deleted by
// control/reaper.
//
// Task states only go up, see TaskState. Task.To, Task.Observe and Task.Stop
// are the only places that move one.
package state
