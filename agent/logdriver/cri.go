package logdriver

import (
	"bytes"
	"time"
)

// line is one line of the CRI's log format.
type line struct {
	time    time.Time
	stderr  bool
	partial bool
	text    []byte // a part of the parsed bytes
}

// stampLen is the length of the times that conmon writes.
const stampLen = len("2006-01-02T15:04:05.000000000-07:00")

// parseLine takes a line apart, without its newline. It reports false for
// anything that conmon does not write.
//
// A disk that was full for a while leaves the beginning of a line, and the next
// whole line right behind it. Then the whole one is the line: the rest of the
// other is nowhere.
func parseLine(b []byte) (line, bool) {
	l, ok := parseWhole(b)
	for _, stream := range []string{" stdout ", " stderr "} {
		if at := bytes.Index(b, []byte(stream)); !ok && at > stampLen {
			l, ok = parseWhole(b[at-stampLen:])
		}
	}
	return l, ok
}

func parseWhole(b []byte) (line, bool) {
	stamp, rest, ok := bytes.Cut(b, []byte{' '})
	if !ok {
		return line{}, false
	}
	var l line
	var err error
	// RFC3339Nano allows any number of digits when parsing.
	if l.time, err = time.Parse(time.RFC3339Nano, string(stamp)); err != nil {
		return line{}, false
	}
	stream, rest, _ := bytes.Cut(rest, []byte{' '})
	switch string(stream) {
	case "stdout":
	case "stderr":
		l.stderr = true
	default:
		return line{}, false
	}
	// Tags may follow after a colon, in the format's own words; conmon writes none.
	tag, text, _ := bytes.Cut(rest, []byte{' '})
	tag, _, _ = bytes.Cut(tag, []byte{':'})
	switch string(tag) {
	case "F":
	case "P":
		l.partial = true
	default:
		return line{}, false
	}
	l.text = text
	return l, true
}
