package logdriver

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestParseLine(t *testing.T) {
	at := time.Date(2026, 11, 23, 2, 31, 18, 123456789, time.UTC)
	for _, c := range []struct {
		in   string
		want line
		ok   bool
	}{
		{"2026-11-23T02:31:18.123456789+00:00 stdout F hello world", line{at, false, false, []byte("hello world")}, true},
		{"2026-11-23T03:31:18.123456789+01:00 stderr P  x", line{at, true, true, []byte(" x")}, true},
		{"2026-11-23T02:31:18.123456789Z stdout F ", line{at, false, false, nil}, true},
		{"2026-11-23T02:31:18.123456789Z stdout F", line{at, false, false, nil}, true},
		{"2026-11-23T02:31:18.123456789Z stdout P:x y", line{at, false, true, []byte("y")}, true},
		{"2026-11-23T02:31:18.123456789Z stdin F x", line{}, false},
		{"2026-11-23T02:31:18.123456789Z stdout X x", line{}, false},
		{"yesterday stdout F x", line{}, false},
		{"", line{}, false},
		{"\x00\x00", line{}, false},
	} {
		got, ok := parseLine([]byte(c.in))
		if ok != c.ok || ok && (!got.time.Equal(c.want.time) || got.stderr != c.want.stderr || got.partial != c.want.partial || !bytes.Equal(got.text, c.want.text)) {
			t.Errorf("%q: %+v, %v", c.in, got, ok)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add([]byte("2026-11-23T02:31:18.123456789+00:00 stdout F hello"))
	f.Add([]byte("2026-11-23T02:31:18Z stderr P"))
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, ok := parseLine(b)
		if ok && !bytes.HasSuffix(b, l.text) {
			t.Fatalf("%q has the text %q", b, l.text)
		}
		var j joiner
		for _, s := range j.flush(j.add(nil, b, 0, int64(len(b))), int64(len(b))+1) {
			if s.Message == "" || len(s.Message) > maxEvent || !utf8.ValidString(s.Message) {
				t.Fatalf("event of %d bytes: %q", len(s.Message), s.Message)
			}
		}
	})
}

// written is a file as conmon writes it, and what must come of it.
type written struct {
	lines []string // with their newlines
	texts [2]string
}

func drawWritten(t *rapid.T) written {
	var w written
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for range rapid.IntRange(0, 60).Draw(t, "lines") {
		stream := rapid.IntRange(0, 1).Draw(t, "stream")
		tag := rapid.SampledFrom([]string{"F", "F", "P"}).Draw(t, "tag")
		n := rapid.SampledFrom([]int{0, 1, 10, 100, 8192, 60_000, 300_000}).Draw(t, "long")
		text := strings.Repeat(rapid.SampledFrom([]string{"a", "ü", "日本"}).Draw(t, "letter"), n)[:n]
		at = at.Add(time.Millisecond)
		w.lines = append(w.lines, fmt.Sprintf("%s %s %s %s\n", at.Format(time.RFC3339Nano), []string{"stdout", "stderr"}[stream], tag, text))
		w.texts[stream] += text
	}
	return w
}

// TestJoinAgain reads a file from any place that a next process may begin at,
// with any cursor that the sink may have, and wants the same events again.
func TestJoinAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWritten(t)
		type place struct{ offset, earliest int64 }
		var all []shipment
		var j joiner
		places := []place{{0, 0}} // behind each line
		for _, l := range w.lines {
			start := places[len(places)-1].offset
			end := start + int64(len(l))
			all = j.add(all, []byte(l[:len(l)-1]), start, end)
			places = append(places, place{end, j.earliest(end)})
		}
		eof := places[len(places)-1].offset
		all = j.flush(all, eof+1)
		total := 0
		for i, s := range all {
			total += len(s.Message)
			if s.Message == "" || len(s.Message) > maxEvent || i > 0 && s.end < all[i-1].end || s.start >= s.end {
				t.Fatalf("event %d of %d bytes at [%d, %d)", i, len(s.Message), s.start, s.end)
			}
		}
		if total < len(w.texts[0])+len(w.texts[1]) { // U+FFFD is longer than what it stands for
			t.Fatalf("%d bytes of text became %d", len(w.texts[0])+len(w.texts[1]), total)
		}

		// The sink has all that was completed by some line; the hole reaches at most
		// to the earliest fragment pending there.
		k := rapid.IntRange(0, len(places)-1).Draw(t, "shipped")
		cursor := int64(0)
		for _, s := range all {
			if s.end <= places[k].offset {
				cursor = s.end
			}
		}
		from := 0
		for i, p := range places {
			if p.offset <= places[k].earliest && rapid.Bool().Draw(t, "hole") {
				from = i
			}
		}
		var again []shipment
		var j2 joiner
		for i := from; i < len(w.lines); i++ {
			again = j2.add(again, []byte(w.lines[i][:len(w.lines[i])-1]), places[i].offset, places[i+1].offset)
		}
		again = j2.flush(again, eof+1)
		left := func(list []shipment) (out []string) {
			for _, s := range list {
				if s.end > cursor {
					out = append(out, fmt.Sprint(s.end, s.Time, s.Message))
				}
			}
			return out
		}
		if !slices.Equal(left(again), left(all)) {
			t.Fatalf("from line %d with cursor %d: %d events, want %d", from, cursor, len(left(again)), len(left(all)))
		}
	})
}

func TestLineBehindACutOffOne(t *testing.T) {
	l, ok := parseLine([]byte("2026-11-23T04:38:09.570782026-11-23T04:38:09.875474321+00:00 stdout F line 89"))
	if !ok || string(l.text) != "line 89" || l.partial || l.time.Nanosecond() != 875474321 {
		t.Errorf("parsed %q, %v", l.text, ok)
	}
	if l, ok := parseLine([]byte("neither 2026-11-23T04:38:09+00:00 stdout F line 89")); ok {
		t.Errorf("parsed %q", l.text)
	}
}
