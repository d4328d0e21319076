package ssmmessages

import (
	"bytes"
	"context"
	"fmt"
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
	return &transcript{to: n.all.cfg.Transcripts, target: n.Log, source: n.ID, failed: func(err error) {
		n.end(fmt.Errorf("The session ended because its transcript could not be written: %w", err))
	}}
}

// say adds a line of the session's own.
func (t *transcript) say(format string, args ...any) {
	fmt.Fprintf(t, "\n"+format+"\n", args...)
}

// Write takes output. It is kept within batchTime, or the session ends.
func (t *transcript) Write(p []byte) (int, error) {
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
	if t.target == nil {
		return nil
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
