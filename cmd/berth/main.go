// Berth runs containers behind AWS's container APIs, on machines of your own.
//
// main.go has the commands; run.go is the only file that knows every part.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
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
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	// containerd's libraries log on their own what they return as errors too.
	logrus.SetLevel(logrus.ErrorLevel)
	var c commands
	parsed := kong.Parse(&c,
		kong.Name("berth"),
		kong.Description("A container platform that speaks AWS's container APIs, on machines of your own."),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	c.Context, c.Out = ctx, os.Stdout
	if err := parsed.Run(&c.Globals); err != nil {
		fmt.Fprintln(os.Stderr, "berth: "+err.Error())
		os.Exit(1)
	}
}
