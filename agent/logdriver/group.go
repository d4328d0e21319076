package logdriver

import (
	"regexp"
	"time"
)

// groupAge is how long an event waits for lines that may belong to it (Docker's
// awslogs driver: its batch publish frequency).
const groupAge = 5 * time.Second

// grouper makes one event of the lines from one that matches begin to the next
// that does, each with its newline, as Docker's awslogs driver does. An event
// that gets too long, or that waited for groupAge, is ended before.
type grouper struct {
	begin *regexp.Regexp

	text       []byte
	first      shipment  // time and start are the event's; its end is that of the last line
	waitsUntil time.Time // zero when nothing is pending
}

// add takes an event of one line and appends what it completes. A group never
// goes on behind cursor: the next process, which reads the same lines, must make
// the same events of those that are shipped.
func (g *grouper) add(to []shipment, line shipment, cursor int64) []shipment {
	if g.pending() && (g.begin.MatchString(line.Message) || len(g.text)+len(line.Message)+1 > maxEvent) {
		to = g.flush(to)
	}
	if !g.pending() {
		g.first, g.waitsUntil = line, time.Now().Add(groupAge)
	}
	g.text = append(g.text, line.Message...)
	if len(g.text) < maxEvent {
		g.text = append(g.text, '\n')
	}
	g.first.end = line.end
	if line.end == cursor {
		to = g.flush(to)
	}
	return to
}

func (g *grouper) pending() bool { return !g.waitsUntil.IsZero() }

// flush ends what is pending.
func (g *grouper) flush(to []shipment) []shipment {
	if !g.pending() {
		return to
	}
	g.first.Message = string(g.text)
	to = append(to, g.first)
	g.text, g.waitsUntil = g.text[:0], time.Time{}
	return to
}

// earliest returns the offset of the first line that is pending, or end.
func (g *grouper) earliest(end int64) int64 {
	if g.pending() {
		return min(end, g.first.start)
	}
	return end
}
