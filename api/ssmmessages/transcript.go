package ssmmessages

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/berth/berth/state"
)

// transcript is what a session prints, on its way to where it is kept.
type transcript struct {
	to     Transcripts
	target *state.LogTarget
	source string
	failed func(error)
	object io.WriteCloser // or nil

	mu    sync.Mutex
	line  strings.Builder // that has no end yet
	lines []state.LogEvent
	size  int
	next  int64
	err   error
	timer *time.Timer
	put   sync.Mutex // held while lines are handed on, so that they stay in order
}

// What of a transcript is put together at most.
const (
	maxLine    = 64 << 10
	batchSize  = 256 << 10
	batchLines = 5000
	batchTime  = time.Second
)

func (n *session) newTranscript() *transcript {
	t := &transcript{to: n.all.cfg.Transcripts, target: n.Log, source: n.ID, failed: func(err error) {
		n.end(fmt.Errorf("The session ended because its transcript could not be written: %w", err))
	}}
	if n.Object != nil {
		if t.object, t.err = n.all.cfg.Objects.Begin(n.Account, n.Object.Bucket, n.Object.Key); t.err != nil {
			t.failed(t.err)
		}
	}
	return t
}

// say adds a line of the session's own.
func (t *transcript) say(format string, args ...any) {
	fmt.Fprintf(t, "\n"+format+"\n", args...)
}

// Write takes output. It is kept within batchTime, or the session ends.
func (t *transcript) Write(p []byte) (int, error) {
	if err := t.append(p); err != nil {
		return 0, err
	}
	if t.target == nil {
		return len(p), nil
	}
	t.mu.Lock()
	for rest := p; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		room := maxLine - t.line.Len()
		switch {
		case end >= 0 && end <= room:
			t.line.Write(rest[:end])
			t.endLine()
			rest = rest[end+1:]
		case len(rest) > room: // a line without an end in sight
			t.line.Write(rest[:room])
			t.endLine()
			rest = rest[room:]
		default:
			t.line.Write(rest)
			rest = nil
		}
	}
	full := t.size > batchSize || len(t.lines) > batchLines
	if t.timer == nil {
		t.timer = time.AfterFunc(batchTime, t.flush)
	}
	err := t.err
	t.mu.Unlock()
	if full {
		t.flush()
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// append adds output to the object.
func (t *transcript) append(p []byte) error {
	if t.object == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		if _, err := t.object.Write(p); err != nil {
			t.err = fmt.Errorf("write the transcript of session %s: %w", t.source, err)
			t.failed(err)
		}
	}
	return t.err
}

// endLine puts the line with the others. Empty ones, which are no log events,
// are left out.
func (t *transcript) endLine() {
	text := strings.TrimRight(t.line.String(), "\r")
	t.line.Reset()
	if text == "" {
		return
	}
	t.lines = append(t.lines, state.LogEvent{Time: time.Now(), Message: strings.ToValidUTF8(text, "\uFFFD")})
	t.size += len(text)
}

// flush hands the whole lines on.
func (t *transcript) flush() {
	t.put.Lock()
	defer t.put.Unlock()
	t.mu.Lock()
	lines := t.lines
	t.lines, t.size, t.timer = nil, 0, nil
	t.next += int64(len(lines))
	next, err := t.next, t.err
	t.mu.Unlock()
	if len(lines) == 0 || err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := t.to.Put(ctx, *t.target, t.source, lines, next); err != nil {
		t.mu.Lock()
		t.err = fmt.Errorf("write the transcript of session %s: %w", t.source, err)
		t.mu.Unlock()
		t.failed(err)
	}
}

// close hands on all that is left.
func (t *transcript) close() error {
	if t.object != nil {
		if err := t.object.Close(); err != nil {
			t.mu.Lock()
			t.err = fmt.Errorf("write the transcript of session %s: %w", t.source, err)
			t.mu.Unlock()
		}
	}
	if t.target == nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.err
	}
	t.mu.Lock()
	t.endLine()
	if t.timer != nil {
		t.timer.Stop()
	}
	t.mu.Unlock()
	t.flush()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}
