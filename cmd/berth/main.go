// Berth runs containers behind AWS's container APIs, on machines of your own.
//
// main.go has the commands; run.go is the only file that knows every part.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"
	"github.com/sirupsen/logrus"

	"github.com/berth/berth/cli"
)

// commands are all there are. The flags before a command hold for each.
type commands struct {
	cli.Globals
	Up     up         `cmd:"" help:"Start Berth on this host: API server and node in one process."`
	Env    cli.Env    `cmd:"" help:"Print shell lines that point AWS clients here: eval \"$(berth env)\"."`
	Status cli.Status `cmd:"" help:"Show health, capacity and what runs."`
	Down   down       `cmd:"" help:"Stop everything of this installation and leave the host as it was."`
	Image  cli.Image  `cmd:"" help:"Images on this host."`

	Run  cli.Run  `cmd:"" help:"Run an image as a task."`
	Ps   cli.Ps   `cmd:"" help:"List tasks."`
	Logs cli.Logs `cmd:"" help:"Print what a task writes."`
	Exec cli.Exec `cmd:"" help:"Run a command in a task's container."`
	Stop cli.Stop `cmd:"" help:"Stop tasks."`
	Why  cli.Why  `cmd:"" help:"Say why a task waits or stopped, or what a service waits for."`

	Service cli.Service `cmd:"" help:"Services: tasks that are kept running."`
	Deploy  cli.Deploy  `cmd:"" help:"Replace a service's tasks by new ones, with another image if asked to."`

	Spot cli.Spot `cmd:"" help:"Capacity of FARGATE_SPOT."`
	Node cli.Node `cmd:"" help:"Make this host a container instance of a cluster, for tasks of launch type EC2."`

	LazyLayers lazyLayers `cmd:"" hidden:"" help:"Have the mounts of layers that are still to come. Berth starts it."`

	Completion kongcompletion.Completion `cmd:"" help:"Print what makes the shell complete berth's commands."`
}

func main() {
	// Modes are chosen where files are made, whatever the caller's mask is:
	// containers' users must get into what is made for them.
	syscall.Umask(0o022)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	// containerd's libraries log on their own what they return as errors too.
	logrus.SetLevel(logrus.ErrorLevel)
	var c commands
	parser := kong.Must(&c,
		kong.Name("berth"),
		kong.Description("A container platform that speaks AWS's container APIs, on machines of your own."),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	kongcompletion.Register(parser)
	parsed, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	c.Context, c.Out = ctx, os.Stdout
	err = parsed.Run(&c.Globals)
	var code cli.ExitCode
	if errors.As(err, &code) {
		os.Exit(int(code))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "berth: "+err.Error())
		os.Exit(1)
	}
}
