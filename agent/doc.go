// Package agent runs a node's tasks: it turns assignments into processes, and
// reports back what became of them.
//
// It owns the order of things: what is made when, what waits for what, when a
// task is over, and that nothing of it is left. It owns the folder of each task
// (its order, its progress and its /etc files). It must not know
// who orders (no store, no API, no control loop), nor how a container, an
// interface or a log line comes to be: those are behind [runtime.Runtime],
// [Network], [Logs], [Objects], [Volumes] and [Reporter].
//
// # Order of calls
//
//	a, err := agent.New(cfg)              // reads what an earlier process left
//	go a.Run(ctx)                         // adopts it; tasks run on when ctx ends, or at Close
//	err = a.Assign(ctx, full)             // first all, with Full; begins to work, too, if Run wasn't called
//	err = a.Assign(ctx, change)           // then what changes
//	err = a.Destroy(ctx)                  // instead of Run: stops and removes all
//
// # One goroutine owns a task
//
// A task's goroutine is the only one that reads or writes what is known of it
// (type task). What takes time runs beside it as an op, one of a name at a time,
// and hands its result back through the inbox. After each piece of news the
// goroutine looks at the whole task once (step) and begins whatever can be
// done: there is no path through the states, only conditions for each step.
// Which container may start or stop is decided by pure functions (mayStart,
// mayStop), what a container is like by others (newPlan, spec).
//
// # Steps, and what a cut-off leaves
//
// Every step may be done twice, and a process may be killed between any two:
//
//	step                        what is left when the process is killed then
//	assignment.json             a folder; without the file, nothing was made
//	attach ∥ prepare ∥ pull     an interface, a cgroup, images: made again, which changes nothing
//	environment.json            what environment files were: not read again
//	create, follow the output   a container that has not run: made again, which changes nothing
//	"launched", synced          a container that may have run: its status tells (see below)
//	start                       a process that runs on
//	report                      the next process reports all it knows
//	stop signal, SIGKILL        the next process goes on with the time that is left
//	detach, STOPPED, clean      the next process does all of it
//	gone: remove the folder     a folder of a task that the server no longer names
//
// A container that has run is never run again. Its start is recorded, on the
// disk, before it is ordered. After that only the runtime's word that the container
// has not run yet, given on the same boot of the host, lets a later process
// start it; one that the runtime lost counts as ended, with no exit code.
//
// A new process begins nothing new before the server has confirmed a task (the
// first full set); what runs goes on, and is watched and stopped in time. Tasks
// that the full set doesn't name end at once and unreported, and containers,
// cgroups and interfaces of tasks that nobody knows are removed.
//
// # Reports
//
// A report holds all that is known of a task. Tasks put theirs down and go on;
// one goroutine sends what has gathered, one call at a time, until it is
// accepted. So reports of a task arrive in order, may leave out states in
// between, and a lost one does no harm. STOPPED is reported when no process is
// left, the interface was taken away, and the last output was handed on (for
// which it waits 5 seconds at most). What is left is removed behind it.
//
// # Tests
//
// go test ./agent runs in fake time (testing/synctest) on a host in memory, which
// outlives agents as a real one does. TestCutOff kills the agent at each call
// it makes, before and after its effect; TestAnyOrder does all at random.
package agent
