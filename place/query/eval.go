package query

import (
	"cmp"
	"iter"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/berth/berth/state"
)

// Instance is a container instance as expressions see it.
type Instance struct {
	Record *state.ContainerInstance
	// Running and Pending are how many of its tasks are.
	Running, Pending int
	// Groups are the groups of its tasks; nil for none.
	Groups iter.Seq[string]
}

// Match reports whether the expression holds for the instance.
func (x *Expr) Match(i Instance) bool { return x.root.match(&i) }

// Alike reports whether the expression can't tell apart two instances that have
// the same attributes and agent: it asks for nothing else.
func (x *Expr) Alike() bool { return x.root.alike() }

// String is the expression, written one way.
func (x *Expr) String() string { return x.root.String() }

type node interface {
	match(i *Instance) bool
	alike() bool
	String() string
}

// junction is several operands of which all, or one, must hold.
type junction struct {
	or bool
	of []node
}

func (j *junction) match(i *Instance) bool {
	for _, n := range j.of {
		if n.match(i) == j.or {
			return j.or
		}
	}
	return !j.or
}

func (j *junction) alike() bool {
	return !slices.ContainsFunc(j.of, func(n node) bool { return !n.alike() })
}

func (j *junction) String() string {
	sign := " && "
	if j.or {
		sign = " || "
	}
	var parts []string
	for _, n := range j.of {
		parts = append(parts, n.String())
	}
	return "(" + strings.Join(parts, sign) + ")"
}

type negation struct{ of node }

func (n *negation) match(i *Instance) bool { return !n.of.match(i) }
func (n *negation) alike() bool            { return n.of.alike() }
func (n *negation) String() string         { return "!" + n.of.String() }

// comparison is "subject operator [argument]".
type comparison struct {
	subject     string
	isAttribute bool
	attribute   string // its name
	op          string // its sign
	args        []string

	// The argument, as the subject or the operator needs it.
	pattern *regexp.Regexp
	time    time.Time
	number  int
}

func (c *comparison) alike() bool {
	return c.isAttribute || c.subject == "agentConnected" || c.subject == "agentVersion"
}

func (c *comparison) String() string {
	var args []string
	for _, a := range c.args {
		args = append(args, quoted(a))
	}
	switch c.op {
	case "exists", "!exists":
		return c.subject + " " + c.op
	case "in", "!in":
		return c.subject + " " + c.op + " [" + strings.Join(args, ", ") + "]"
	}
	return c.subject + " " + c.op + " " + args[0]
}

// quoted is an argument in quotes; one with quotes of both kinds was read
// without.
func quoted(arg string) string {
	switch {
	case !strings.Contains(arg, `"`):
		return `"` + arg + `"`
	case !strings.Contains(arg, "'"):
		return "'" + arg + "'"
	}
	return arg
}

func (c *comparison) match(i *Instance) bool {
	switch c.subject {
	case "agentConnected":
		return c.text(strconv.FormatBool(i.Record.Connected), true)
	case "agentVersion":
		return c.ordered(compareVersions(aws.ToString(i.Record.Agent.AgentVersion), c.args[0]))
	case "ec2InstanceId":
		return c.text(i.Record.EC2InstanceID, true)
	case "registeredAt":
		return c.ordered(i.Record.RegisteredAt.Compare(c.time))
	case "runningTasksCount":
		return c.ordered(cmp.Compare(i.Running, c.number))
	case "pendingTasksCount":
		return c.ordered(cmp.Compare(i.Pending, c.number))
	case "task:group":
		return c.groups(i.Groups)
	}
	for _, a := range i.Record.Attributes {
		if aws.ToString(a.Name) == c.attribute {
			return c.text(aws.ToString(a.Value), true)
		}
	}
	return c.text("", false)
}

// groups is text for a subject with several values: it holds when it does for
// one of them, its opposite when it does for none.
func (c *comparison) groups(all iter.Seq[string]) bool {
	positive, negative := *c, false
	if op, ok := strings.CutPrefix(c.op, "!"); ok {
		negative = true
		if positive.op = op; op == "=" || op == "~" {
			positive.op = map[string]string{"=": "==", "~": "=~"}[op]
		}
	}
	if all != nil {
		for g := range all {
			if positive.text(g, true) {
				return !negative
			}
		}
	}
	return negative
}

// text compares a value, or none, with the argument.
func (c *comparison) text(value string, there bool) bool {
	switch c.op {
	case "exists":
		return there
	case "!exists":
		return !there
	case "==":
		return there && value == c.args[0]
	case "!=":
		return !there || value != c.args[0]
	case "in":
		return there && slices.Contains(c.args, value)
	case "!in":
		return !there || !slices.Contains(c.args, value)
	case "=~":
		return there && c.pattern.MatchString(value)
	case "!~":
		return !there || !c.pattern.MatchString(value)
	}
	return there && c.ordered(compareTexts(value, c.args[0]))
}

// ordered reports whether the operator allows the order that was found.
func (c *comparison) ordered(order int) bool {
	switch c.op {
	case "==":
		return order == 0
	case "!=":
		return order != 0
	case ">":
		return order > 0
	case ">=":
		return order >= 0
	case "<":
		return order < 0
	}
	return order <= 0
}

// compareTexts compares as numbers if both are, else as texts.
func compareTexts(a, b string) int {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	if errX == nil && errY == nil {
		return cmp.Compare(x, y)
	}
	return cmp.Compare(a, b)
}

// compareVersions compares 1.9.0 with 1.10.0 part by part; a part that is missing
// is 0.
func compareVersions(a, b string) int {
	x, y := strings.Split(strings.TrimPrefix(a, "v"), "."), strings.Split(strings.TrimPrefix(b, "v"), ".")
	for k := range max(len(x), len(y)) {
		p, q := "0", "0"
		if k < len(x) {
			p = x[k]
		}
		if k < len(y) {
			q = y[k]
		}
		if order := compareTexts(p, q); order != 0 {
			return order
		}
	}
	return 0
}
