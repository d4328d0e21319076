package logdriver

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestGroup(t *testing.T) {
	g := &grouper{begin: regexp.MustCompile(`^\d`)}
	var got []string
	note := func(batch []shipment) {
		for _, s := range batch {
			got = append(got, fmt.Sprintf("%q %d-%d", s.Message, s.start, s.end))
		}
	}
	for i, text := range []string{"tail of what was before", "1 first", "  at a", "  at b", "2 second", "3 third", "  at c"} {
		note(g.add(nil, shipment{Event: Event{Message: text}, start: int64(i * 10), end: int64(i*10 + 10)}, -1))
	}
	note(g.flush(nil))
	want := []string{`"tail of what was before\n" 0-10`, `"1 first\n  at a\n  at b\n" 10-40`, `"2 second\n" 40-50`, `"3 third\n  at c\n" 50-70`}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	long := &grouper{begin: regexp.MustCompile(`^\d`)}
	line := strings.Repeat("x", maxEvent-100)
	if batch := long.add(nil, shipment{Event: Event{Message: line}, end: 1}, -1); len(batch) != 0 {
		t.Errorf("the first line made %d events", len(batch))
	}
	if batch := long.add(nil, shipment{Event: Event{Message: line}, end: 2}, -1); len(batch) != 1 || len(batch[0].Message) != len(line)+1 {
		t.Errorf("a line that doesn't fit made %d events", len(batch))
	}
}

// Wherever a process ends, the next one goes on so that each line is in one
// event, in order.
func TestGroupOverRestarts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.SampledFrom([]string{"1 begin", "  more", "2 begin"}), 1, 40).Draw(t, "lines")
		cursor, shipped, hole := int64(-1), "", 0
		for hole < len(lines) {
			g := &grouper{begin: regexp.MustCompile(`^\d`)}
			ends := rapid.IntRange(hole+1, len(lines)).Draw(t, "killed before")
			ship := func(batch []shipment) {
				for _, s := range batch {
					if s.end > cursor {
						shipped, cursor = shipped+s.Message, s.end
					}
				}
			}
			for i := hole; i < ends; i++ {
				ship(g.add(nil, shipment{Event: Event{Message: lines[i]}, start: int64(i), end: int64(i + 1)}, cursor))
				if rapid.IntRange(0, 5).Draw(t, "aged") == 0 {
					ship(g.flush(nil))
				}
			}
			if ends == len(lines) {
				ship(g.flush(nil))
				hole = ends
			} else {
				// What is shipped may be a hole by now, or not yet.
				hole = rapid.IntRange(0, int(g.earliest(int64(ends)))).Draw(t, "hole")
			}
		}
		if want := strings.Join(lines, "\n") + "\n"; shipped != want {
			t.Fatalf("shipped %q, want %q", shipped, want)
		}
	})
}
