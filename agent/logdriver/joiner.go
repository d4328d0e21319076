package logdriver

import (
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// maxEvent is the size of an event's message in bytes, as awslogs has it: 256
	// KiB less the 26 bytes that CloudWatch Logs counts for each event.
	maxEvent = 262144 - 26
	// A long line is cut at the end of a fragment (see doc.go). conmon's are at most
	// 8 KiB, so behind softEvent there are some that end between two characters;
	// behind hardEvent the next one might not fit.
	softEvent = maxEvent - 64<<10
	hardEvent = maxEvent - 16<<10
)

// joiner makes events of lines. It is fed the lines of a file in order, each
// with its place, and depends on nothing before the first.
type joiner struct {
	pending [2]fragment // of stdout and stderr
	last    time.Time   // of the last line
}

// fragment is the begin of an event whose end has not come yet.
type fragment struct {
	text  []byte
	time  time.Time
	start int64 // file offset of its first line
	open  bool
	// stderr is the stream, of which there are two.
	stderr bool
}

// shipment is an event with its place in the file.
type shipment struct {
	Event
	start int64 // offset of the first line it was made of
	end   int64 // offset behind the line that completed it
}

// add takes the line at [start, end) and appends the events that it completes.
func (j *joiner) add(to []shipment, raw []byte, start, end int64) []shipment {
	l, ok := parseLine(raw)
	if !ok {
		// Nobody but conmon writes here, and it writes whole lines, unless the host
		// lost power or the disk was full. What is left is shipped as it is.
		at := j.last
		if at.IsZero() {
			at = time.Now()
		}
		return emit(to, fragment{text: raw, time: at, start: start}, end)
	}
	j.last = l.time
	p := &j.pending[0]
	if l.stderr {
		p = &j.pending[1]
	}
	if !p.open {
		*p = fragment{text: p.text[:0], time: l.time, start: start, open: true, stderr: l.stderr}
	}
	p.text = append(p.text, l.text...)
	if l.partial && !full(p.text) {
		return to
	}
	to = emit(to, *p, end)
	p.open = false
	if cap(p.text) > 64<<10 {
		p.text = nil // such lines are rare
	}
	return to
}

// flush ends what is pending, at end.
func (j *joiner) flush(to []shipment, end int64) []shipment {
	first, second := &j.pending[0], &j.pending[1]
	if second.open && (!first.open || second.start < first.start) {
		first, second = second, first
	}
	for _, p := range []*fragment{first, second} {
		if p.open {
			to = emit(to, *p, end)
			p.open = false
		}
	}
	return to
}

// earliest returns the offset of the first line that is pending, or end.
func (j *joiner) earliest(end int64) int64 {
	for _, p := range j.pending {
		if p.open {
			end = min(end, p.start)
		}
	}
	return end
}

// full reports whether a partial line must be cut now.
func full(text []byte) bool {
	if len(text) < softEvent {
		return false
	}
	if len(text) >= hardEvent {
		return true
	}
	r, size := utf8.DecodeLastRune(text)
	return r != utf8.RuneError || size != 1
}

// emit appends f as one event, as several where it is too long, or not at all
// where it is empty.
func emit(to []shipment, f fragment, end int64) []shipment {
	text := strings.ToValidUTF8(string(f.text), "\uFFFD")
	for text != "" {
		n := len(text)
		if n > maxEvent {
			for n = maxEvent; !utf8.RuneStart(text[n]); n-- {
			}
		}
		to = append(to, shipment{Event{Time: f.time, Message: text[:n], Stderr: f.stderr}, f.start, end})
		text = text[n:]
	}
	return to
}
