package ssmmessages

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/berth/berth/internal/datachannel"
	"github.com/berth/berth/state"
)

// run is a session from its first connection to its end. When it returns its
// command is gone, its client knows, and its transcript is whole.
func (n *session) run(mode datachannel.Mode) {
	log := n.all.cfg.Log.With("session", n.ID, "by", n.By, "from", n.From, "task", n.Task, "container", n.Container, "command", n.Command)
	began := time.Now()
	log.Info("exec session began")
	t := n.newTranscript()
	t.say("Session %s began: %s (%s) runs %q in container %s of %s", n.ID, n.By, n.From, n.Command, n.Container, n.Task)
	code, ended, err := n.converse(mode, t)
	took := ended.Sub(began).Round(time.Millisecond)
	// Who ended it says more than that it was cut off.
	if cause := context.Cause(n.ctx); err != nil && cause != nil {
		err = cause
	}
	if err != nil {
		t.say("Session %s ended after %v: %v", n.ID, took, err)
	} else {
		t.say("Session %s ended after %v with exit code %d", n.ID, took, code)
	}
	kept := t.close()
	attrs := []any{"took", took, "exitCode", code}
	if err := errors.Join(err, kept); err != nil {
		attrs = append(attrs, "err", err)
	}
	log.Info("exec session ended", attrs...)

	output := ""
	if err != nil {
		output = err.Error()
	}
	n.channel.Close(n.ID, output)
	n.all.mu.Lock()
	n.forget()
	late := time.AfterFunc(hangUpTime, n.hangUp)
	n.all.mu.Unlock()
	n.end(nil)
	// The client, if it is there, is told before this process may end.
	n.serving.Lock()
	late.Stop()
	n.serving.Unlock()
}

// converse is the handshake, the command, and what is left of its output for
// the client. It returns the exit code and when the command ended.
func (n *session) converse(mode datachannel.Mode, t *transcript) (code int, ended time.Time, err error) {
	if err := n.handshake(mode); err != nil {
		return -1, time.Now(), err
	}
	ctx, cancel := context.WithCancelCause(n.ctx)
	defer cancel(nil)
	c := &conversation{
		session: n, cancel: cancel, input: datachannel.NewReader(), sizes: make(chan state.WindowSize, 1), terminal: mode != datachannel.ModePipes,
	}
	defer c.input.End(io.EOF)
	c.idle = time.AfterFunc(idleTime, func() { n.end(errIdle) })
	defer c.idle.Stop()
	size, err := c.first(ctx)
	if err != nil {
		return -1, time.Now(), err
	}
	node, ok := n.all.cfg.Node(n.Node)
	if !ok {
		return -1, time.Now(), fmt.Errorf("Unable to start command: node %s can't be reached", n.Node)
	}
	var listen sync.WaitGroup
	listen.Go(func() { c.listen(ctx) })
	defer listen.Wait()
	defer cancel(nil)
	code, err = node.Exec(ctx, state.ExecRequest{
		Session: n.ID, TaskID: n.TaskID, RuntimeID: n.RuntimeID, Command: n.Command, Terminal: c.terminal, Size: size,
	}, c.input, io.MultiWriter(t, c.writer(ctx, datachannel.Data)), io.MultiWriter(t, c.writer(ctx, datachannel.Stderr)), c.sizes)
	ended = time.Now()
	if err != nil {
		if cause := context.Cause(ctx); ctx.Err() != nil && cause != nil {
			return code, ended, cause
		}
		// As AWS's agent shows it.
		return code, ended, fmt.Errorf("----------ERROR-------\nUnable to start command: %w", err)
	}
	// A client that is away, or whose person has stopped the output to read it,
	// gets the rest, too.
	flush, stop := context.WithTimeout(ctx, resumeTime)
	defer stop()
	if mode != datachannel.ModePlugin { // which would print it
		if err := n.channel.Send(flush, datachannel.ExitCode, datachannel.EncodeExit(code)); err != nil {
			return code, ended, nil
		}
	}
	// A client that is gone for good misses the end, and that is all.
	_ = n.channel.Finish(flush)
	return code, ended, nil
}

// handshake tells the client what is to come, and hears whether it can.
func (n *session) handshake(mode datachannel.Mode) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(n.ctx, handshakeTime)
	defer cancel()
	if err := n.channel.Send(ctx, datachannel.HandshakeRequest, datachannel.Handshake(n.Command, mode)); err != nil {
		return err
	}
	for {
		p, err := n.channel.Receive(ctx)
		if err != nil {
			return fmt.Errorf("wait for the client's handshake: %w", err)
		}
		if p.Kind != datachannel.HandshakeResponse {
			continue
		}
		if err := datachannel.CheckHandshake(p.Data); err != nil {
			return err
		}
		return n.channel.Send(ctx, datachannel.HandshakeComplete, datachannel.Completed(time.Since(began)))
	}
}

// conversation is a session while its command runs.
type conversation struct {
	*session
	cancel   context.CancelCauseFunc
	terminal bool
	input    *datachannel.Reader
	sizes    chan state.WindowSize // holds the latest that the command wasn't told of
	idle     *time.Timer
}

// first waits a moment for the size of the client's terminal, so that the
// command has it from the beginning.
func (c *conversation) first(ctx context.Context) (state.WindowSize, error) {
	if !c.terminal {
		return state.WindowSize{}, nil
	}
	short, cancel := context.WithTimeout(ctx, firstTime)
	defer cancel()
	p, err := c.channel.Receive(short)
	switch {
	case ctx.Err() != nil:
		return state.WindowSize{}, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return state.WindowSize{}, nil
	case err != nil:
		return state.WindowSize{}, err
	}
	if err := c.take(ctx, p); err != nil {
		return state.WindowSize{}, err
	}
	select {
	case size := <-c.sizes:
		return size, nil
	default:
		return state.WindowSize{}, nil
	}
}

// listen takes what the client sends, until ctx or the channel ends.
func (c *conversation) listen(ctx context.Context) {
	for {
		p, err := c.channel.Receive(ctx)
		if err == nil {
			err = c.take(ctx, p)
		}
		if err != nil {
			c.cancel(err)
			return
		}
	}
}

func (c *conversation) take(ctx context.Context, p datachannel.Payload) error {
	c.idle.Reset(idleTime)
	switch p.Kind {
	case datachannel.Data:
		if len(p.Data) == 0 {
			c.input.End(io.EOF)
			return nil
		}
		return c.input.Put(ctx, p.Data)
	case datachannel.Size:
		size, err := datachannel.DecodeSize(p.Data)
		if err != nil {
			return err
		}
		const most = 1 << 16
		if size.Rows >= most || size.Cols >= most {
			return nil // no terminal is of that size
		}
		select {
		case <-c.sizes:
		default:
		}
		c.sizes <- state.WindowSize{Rows: uint16(size.Rows), Cols: uint16(size.Cols)}
	case datachannel.Flag:
		if len(p.Data) == 4 && p.Data[3] == datachannel.TerminateSession {
			return errTerminated
		}
	}
	return nil
}

// writer sends what is written as payloads of a kind.
func (c *conversation) writer(ctx context.Context, k datachannel.Kind) io.Writer {
	return writerFunc(func(p []byte) (int, error) {
		c.idle.Reset(idleTime)
		for sent := 0; sent < len(p); {
			piece := p[sent:min(len(p), sent+datachannel.PayloadSize)]
			if err := c.channel.Send(ctx, k, piece); err != nil {
				return sent, err
			}
			sent += len(piece)
		}
		return len(p), nil
	})
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
