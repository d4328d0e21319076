package fidelity

import (
	"fmt"
	"path"
	"strings"
	"sync"
)

// Verdict is what Berth does with a field, or an operation.
type Verdict string

// The verdicts.
const (
	Exact       Verdict = "exact"       // does what AWS does
	Refused     Verdict = "refused"     // a request that sets it gets an error that names it
	NoEffect    Verdict = "noeffect"    // accepted, kept and shown, and nothing comes of it
	Unsupported Verdict = "unsupported" // the whole operation answers 501
)

// Ledger is the decisions about one service. It is safe for use by several
// goroutines.
type Ledger struct {
	// Service is the name given to Parse.
	Service string

	upper  bool
	lines  []*line
	found  sync.Map // path → *line, nil where no line matches
	shapes sync.Map // reflect.Type → []member
}

// line is one decision.
type line struct {
	number   int
	pattern  string
	segments []string
	wide     int // how many "**"
	literal  int // characters that are not wildcards
	verdict  Verdict
	reason   string
}

// MustParse reads a ledger that is part of the program, whose tests keep it in
// order. It panics if it is malformed.
func MustParse(service string, data []byte) *Ledger {
	l, err := Parse(service, data)
	if err != nil {
		panic(err)
	}
	return l
}

// Parse reads a ledger. It returns all errors in it at once, with their lines.
func Parse(service string, data []byte) (*Ledger, error) {
	l := &Ledger{Service: service}
	var wrong []string
	seen := map[string]int{}
	number := 0
	for text := range strings.Lines(string(data)) {
		number++
		text = strings.TrimSpace(text)
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if strings.HasPrefix(text, "@") {
			switch strings.Join(strings.Fields(text), " ") {
			case "@members upper":
				l.upper = true
			case "@members lower":
				l.upper = false
			default:
				wrong = append(wrong, fmt.Sprintf("line %d: no directive %q", number, text))
			}
			continue
		}
		n, err := parseLine(number, text)
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("line %d: %v", number, err))
			continue
		}
		if first, ok := seen[n.pattern]; ok {
			wrong = append(wrong, fmt.Sprintf("line %d: %s was decided in line %d", number, n.pattern, first))
			continue
		}
		seen[n.pattern] = number
		l.lines = append(l.lines, n)
	}
	if len(wrong) > 0 {
		return nil, fmt.Errorf("read the fidelity ledger of %s: %s", service, strings.Join(wrong, "; "))
	}
	return l, nil
}

func parseLine(number int, text string) (*line, error) {
	fields := strings.Fields(text)
	if len(fields) < 2 {
		return nil, fmt.Errorf("%q has no verdict", text)
	}
	n := &line{
		number: number, pattern: fields[0], segments: strings.Split(fields[0], "."),
		verdict: Verdict(fields[1]), reason: strings.Join(fields[2:], " "),
	}
	for _, s := range n.segments {
		switch {
		case s == "":
			return nil, fmt.Errorf("%s has an empty name", n.pattern)
		case s == "**":
			n.wide++
		default:
			n.literal += len(s) - strings.Count(s, "*")
		}
	}
	operation := len(n.segments) == 1
	switch {
	case operation && n.wide > 0:
		return nil, fmt.Errorf("** does not stand for an operation: write *")
	case operation && n.verdict != Exact && n.verdict != Unsupported:
		return nil, fmt.Errorf("an operation is %s or %s, not %q", Exact, Unsupported, n.verdict)
	case !operation && n.verdict != Exact && n.verdict != Refused && n.verdict != NoEffect:
		return nil, fmt.Errorf("a field is %s, %s or %s, not %q", Exact, Refused, NoEffect, n.verdict)
	case n.verdict != Exact && n.reason == "":
		return nil, fmt.Errorf("%s of %s needs a reason", n.verdict, n.pattern)
	case n.verdict == Exact && n.reason != "":
		return nil, fmt.Errorf("%s of %s takes no reason", Exact, n.pattern)
	}
	return n, nil
}

// matches says whether the segments of a pattern stand for those of a path.
func matches(pattern, p []string) bool {
	for i, s := range pattern {
		if s == "**" {
			rest := pattern[i+1:]
			for k := i; k <= len(p); k++ {
				if matches(rest, p[k:]) {
					return true
				}
			}
			return false
		}
		if i >= len(p) || !glob(s, p[i]) {
			return false
		}
	}
	return len(pattern) == len(p)
}

// glob matches one name. Only "*" is special.
func glob(pattern, name string) bool {
	if !strings.Contains(pattern, "*") {
		return pattern == name
	}
	ok, err := path.Match(strings.ReplaceAll(pattern, "[", `\[`), name)
	return ok && err == nil
}

// best returns the line that counts for a path, or nil, and every other line
// that is just as specific.
func (l *Ledger) best(p string) (*line, []*line) {
	segments := strings.Split(p, ".")
	var best *line
	var ties []*line
	for _, n := range l.lines {
		if !matches(n.segments, segments) {
			continue
		}
		switch {
		case best == nil || n.wide < best.wide || n.wide == best.wide && n.literal > best.literal:
			best, ties = n, nil
		case n.wide == best.wide && n.literal == best.literal:
			ties = append(ties, n)
		}
	}
	return best, ties
}

// decide returns the line that counts for a path, remembering it.
func (l *Ledger) decide(p string) *line {
	if n, ok := l.found.Load(p); ok {
		return n.(*line)
	}
	n, _ := l.best(p)
	l.found.Store(p, n)
	return n
}

// Operation returns the verdict on an operation and its reason; the verdict is
// empty where nobody decided.
func (l *Ledger) Operation(name string) (Verdict, string) {
	if n := l.decide(name); n != nil {
		return n.verdict, n.reason
	}
	return "", ""
}
