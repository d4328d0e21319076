package fidelity

import (
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"
)

// Audit returns what is wrong with the ledger, for a test to print: operations
// and fields nobody decided about, lines that count for nothing, and fields for
// which several lines are equally specific. An operation whose type is nil is
// known by name only: it must be unsupported.
func (l *Ledger) Audit(inputs map[string]reflect.Type) []string {
	var wrong []string
	used := map[*line]bool{}
	decide := func(p string) *line {
		n, ties := l.best(p)
		if n == nil {
			wrong = append(wrong, p+": nobody decided about it")
			return nil
		}
		used[n] = true
		for _, t := range ties {
			used[t] = true
			wrong = append(wrong, fmt.Sprintf("%s: lines %d and %d are equally specific", p, n.number, t.number))
		}
		return n
	}
	for _, op := range operations(inputs) {
		n := decide(op)
		switch {
		case n == nil || n.verdict == Unsupported:
		case inputs[op] == nil:
			wrong = append(wrong, op+": is exact by the ledger, and there is no input for it")
		default:
			l.leaves(op, inputs[op], nil, func(p string) { decide(p) })
		}
	}
	for _, n := range l.lines {
		if !used[n] {
			wrong = append(wrong, fmt.Sprintf("line %d: %s counts for nothing", n.number, n.pattern))
		}
	}
	return wrong
}

// AuditMethods returns the operations that the ledger calls exact and impl has
// no method for, and those that it has although they are called unsupported.
func (l *Ledger) AuditMethods(inputs map[string]reflect.Type, impl any) []string {
	var wrong []string
	t := reflect.TypeOf(impl)
	for _, op := range operations(inputs) {
		_, built := t.MethodByName(op)
		switch verdict, _ := l.Operation(op); {
		case verdict == Exact && !built:
			wrong = append(wrong, fmt.Sprintf("%s: is exact by the ledger, and %v has no such method", op, t))
		case verdict == Unsupported && built:
			wrong = append(wrong, fmt.Sprintf("%s: is unsupported by the ledger, and %v has such a method", op, t))
		}
	}
	return wrong
}

func operations(inputs map[string]reflect.Type) []string {
	out := make([]string, 0, len(inputs))
	for op := range inputs {
		out = append(out, op)
	}
	sort.Strings(out)
	return out
}

// Markdown writes the ledger as a chapter of docs/fidelity.md: the operations
// that are exact, those that are not in some fields, with these, and those that
// there are not, by reason.
func (l *Ledger) Markdown(title string, inputs map[string]reflect.Type) string {
	var built []string
	lacking := map[string][]string{} // by reason
	for _, op := range operations(inputs) {
		if verdict, reason := l.Operation(op); verdict == Exact {
			built = append(built, op)
		} else {
			lacking[reason] = append(lacking[reason], op)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n", title)
	if len(lacking) == 0 {
		fmt.Fprintf(&b, "%d operations are built. All others answer 501.\n", len(built))
	} else {
		fmt.Fprintf(&b, "%d of %d operations are built.\n", len(built), len(inputs))
	}
	var whole []string
	var chapters strings.Builder
	for _, op := range built {
		if rows, exact := l.fields(op, inputs[op]); len(rows) == 0 {
			whole = append(whole, op)
		} else {
			fieldTable(&chapters, op, rows, exact)
		}
	}
	if len(whole) > 0 {
		fmt.Fprintf(&b, "\nThese are as on AWS in all of their fields: %s.\n", strings.Join(whole, ", "))
	}
	b.WriteString(chapters.String())
	if len(lacking) == 0 {
		return b.String()
	}
	fmt.Fprintf(&b, "\n### Operations that answer 501\n\n| why | operations |\n| --- | --- |\n")
	reasons := make([]string, 0, len(lacking))
	for r := range lacking {
		reasons = append(reasons, r)
	}
	sort.Strings(reasons)
	for _, r := range reasons {
		fmt.Fprintf(&b, "| %s | %s |\n", cell(r), strings.Join(lacking[r], ", "))
	}
	return b.String()
}

// field is a row of the document.
type field struct{ path, verdict, reason string }

// fields returns an operation's fields that are not exact, in their order, and
// how many are. Fields of one line that ends in ".**" are one.
func (l *Ledger) fields(op string, in reflect.Type) (rows []field, exact int) {
	l.leaves(op, in, nil, func(p string) {
		switch n := l.decide(p); {
		case n == nil:
		case n.verdict == Exact:
			exact++
		default:
			r := field{base(n, strings.TrimPrefix(p, op+".")), "refused", n.reason}
			if n.verdict == NoEffect {
				r.verdict = "no effect"
			}
			if !slices.Contains(rows, r) {
				rows = append(rows, r)
			}
		}
	})
	return rows, exact
}

func fieldTable(b *strings.Builder, op string, rows []field, exact int) {
	fmt.Fprintf(b, "\n### %s\n\nAs on AWS: %d. Not:\n\n| field | what becomes of it | why |\n| --- | --- | --- |\n", op, exact)
	for _, r := range rows {
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", r.path, r.verdict, cell(r.reason))
	}
}

// cell is text for a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
