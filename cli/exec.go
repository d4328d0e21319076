package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"golang.org/x/term"

	"github.com/berth/berth/internal/datachannel"
)

// Exec runs a command in a container of a task: `aws ecs execute-command`, with
// the command's exit code, and pipes where no terminal is wanted.
type Exec struct {
	Task      string   `arg:"" help:"The task: its ID, the beginning of that, or its ARN."`
	Command   []string `arg:"" optional:"" passthrough:"" help:"The command and its arguments: -- CMD ARG… (/bin/sh)."`
	Container string   `short:"c" help:"The container, of a task that has several." placeholder:"NAME"`
	Terminal  bool     `short:"t" help:"Give the command this terminal, as a shell wants it."`
}

// Run runs it.
func (c Exec) Run(g *Globals) error {
	a, err := g.api()
	if err != nil {
		return err
	}
	if c.Terminal && !term.IsTerminal(int(os.Stdin.Fd())) {
		return errors.New("-t: the input is not a terminal")
	}
	t, err := a.task(g.Context, c.Task)
	if err != nil {
		return err
	}
	in := &ecs.ExecuteCommandInput{Cluster: t.ClusterArn, Task: t.TaskArn, Command: aws.String(c.command()), Interactive: true}
	if c.Container != "" {
		in.Container = &c.Container
	}
	out, err := a.ecs.ExecuteCommand(g.Context, in)
	if err != nil {
		return plain(err)
	}
	mode := datachannel.ModePipes
	if c.Terminal {
		mode = datachannel.ModeTerminal
	}
	socket, err := datachannel.Dial(g.Context, *out.Session.StreamUrl, datachannel.Open{TokenValue: *out.Session.TokenValue, ClientVersion: "1.0", Mode: mode})
	if err != nil {
		return err
	}
	s := &remote{Channel: datachannel.New(datachannel.Input), id: *out.Session.SessionId, in: os.Stdin, out: g.Out, err: os.Stderr, terminal: c.Terminal}
	return s.run(g.Context, socket)
}

// command is the command as one string, which the node takes apart again.
func (c Exec) command() string {
	args := c.Command
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return "/bin/sh"
	}
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	return strings.Join(words, " ")
}

// remote is a command that runs elsewhere, with its input and output here.
type remote struct {
	*datachannel.Channel
	id       string
	in       *os.File
	out, err io.Writer
	terminal bool
}

// run goes on until the command has ended. Its error is the exit code, or why
// there is none.
func (r *remote) run(ctx context.Context, socket *datachannel.Socket) error {
	// ^C, where it isn't the command's, ends the session in order.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { r.Close(r.id, "its client was interrupted") })()
	served := make(chan struct{})
	var lost error
	go func() {
		defer close(served)
		lost = r.Serve(work, socket)
		socket.Close()
		cancel()
	}()
	code, err := r.follow(work)
	var end *datachannel.ClosedError
	switch {
	case errors.As(err, &end) && end.Output != "":
		err = errors.New(strings.TrimPrefix(end.Output, "----------ERROR-------\n"))
	case errors.As(err, &end) && code >= 0:
		err = nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, datachannel.ErrClosed) {
		<-served
		switch {
		case ctx.Err() != nil:
			return ExitCode(128 + int(syscall.SIGINT))
		case lost != nil:
			err = fmt.Errorf("the connection to Berth was lost, and the command with it: %w", lost)
		}
	}
	if err == nil && code != 0 {
		return ExitCode(code)
	}
	return err
}

// follow answers the handshake and passes everything on, until the channel ends.
func (r *remote) follow(ctx context.Context) (code int, err error) {
	code = -1
	for {
		p, err := r.Receive(ctx)
		if err != nil {
			return code, err
		}
		switch p.Kind {
		case datachannel.HandshakeRequest:
			err = r.Send(ctx, datachannel.HandshakeResponse, datachannel.Accept("1.0"))
		case datachannel.HandshakeComplete:
			restore, startErr := r.start(ctx)
			if startErr != nil {
				return code, startErr
			}
			defer restore()
		case datachannel.Data:
			_, err = r.out.Write(p.Data)
		case datachannel.Stderr:
			_, err = r.err.Write(p.Data)
		case datachannel.ExitCode:
			code, err = datachannel.DecodeExit(p.Data)
		}
		if err != nil {
			r.Close(r.id, "its client could not go on")
			return code, err
		}
	}
}

// start begins to send what is typed, each key as it is with a terminal, and the
// terminal's size. restore gives the terminal back.
func (r *remote) start(ctx context.Context) (restore func(), err error) {
	restore = func() {}
	if r.terminal {
		was, err := term.MakeRaw(int(r.in.Fd()))
		if err != nil {
			return restore, fmt.Errorf("prepare the terminal: %w", err)
		}
		changes := make(chan os.Signal, 1)
		signal.Notify(changes, syscall.SIGWINCH)
		restore = func() {
			signal.Stop(changes)
			term.Restore(int(r.in.Fd()), was)
		}
		changes <- syscall.SIGWINCH // the size at first
		go r.sendSizes(ctx, changes)
	}
	go r.sendInput(ctx)
	return restore, nil
}

func (r *remote) sendSizes(ctx context.Context, changes <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-changes:
		}
		cols, rows, err := term.GetSize(int(r.in.Fd()))
		if err != nil {
			continue
		}
		if r.Send(ctx, datachannel.Size, datachannel.EncodeSize(datachannel.WindowSize{Cols: uint32(cols), Rows: uint32(rows)})) != nil {
			return
		}
	}
}

// sendInput goes on until the input or the session ends. A read that is under
// way then ends with the process.
func (r *remote) sendInput(ctx context.Context) {
	b := make([]byte, datachannel.PayloadSize)
	for {
		n, err := r.in.Read(b)
		if n > 0 && r.Send(ctx, datachannel.Data, b[:n]) != nil {
			return
		}
		if err != nil {
			if !r.terminal {
				r.Send(ctx, datachannel.Data, nil) // the end of the command's input
			}
			return
		}
	}
}
