package wire

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/berth/berth/wire/wiretest/corpus"
)

// The SDK's ec2 client is too large to compile, so its source is read: the structs
// for what requests have, the deserializers for what responses are called.
var (
	structExpr = regexp.MustCompile(`(?ms)^type (\w+) struct \{(.*?)^\}`)
	fieldExpr  = regexp.MustCompile(`(?m)^\t([A-Z]\w*) +(\S+)$`)
	readerExpr = regexp.MustCompile(`(?ms)^func awsEc2query_deserialize(?:Op)?Document(\w+)\(v \*(\S+), decoder.*?^\}`)
	caseExpr   = regexp.MustCompile(`(?s)^"([^"]+)", t\.Name\.Local\):(.*?)(?:\n\t\tdefault|\z)`)
	targetExpr = regexp.MustCompile(`sv\.(\w+)`)
	calleeExpr = regexp.MustCompile(`awsEc2query_deserializeDocument(\w+)\(`)
)

func ec2Source(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(corpus.ModuleDir(t, "ec2"), pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("the SDK's ec2 module has no %s: %v", pattern, err)
	}
	var b strings.Builder
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(src)
	}
	return b.String()
}

func ec2Operations(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile("model/gen/ec2operations.txt")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(b))
}

func ec2WireNames(t *testing.T) map[string]map[string]wireName {
	t.Helper()
	m, err := loadModel("ec2")
	if err != nil {
		t.Fatal(err)
	}
	return m.Names
}

// TestEC2RequestNames follows each parameter of the corpus through the SDK's structs
// with our names.
func TestEC2RequestNames(t *testing.T) {
	names := ec2WireNames(t)
	structs := map[string]map[string]string{}
	for _, m := range structExpr.FindAllStringSubmatch(ec2Source(t, "types/types.go")+ec2Source(t, "api_op_*.go"), -1) {
		fields := map[string]string{}
		for _, f := range fieldExpr.FindAllStringSubmatch(m[2], -1) {
			fields[f[1]] = f[2]
		}
		structs[m[1]] = fields
	}
	find := func(goType, name string) string {
		for f, ft := range structs[goType] {
			n := names[goType][f]
			byRule := f
			if n.XML != "" {
				byRule = upperFirst(n.XML)
			}
			if n.Query == name || n.Query == "" && byRule == name {
				return ft
			}
		}
		return ""
	}
	seen := 0
	ops := ec2Operations(t)
	for _, snap := range corpus.Requests(t, "ec2") {
		if !slices.Contains(ops, snap.Name) {
			continue
		}
		params, err := url.ParseQuery(string(snap.Body))
		if err != nil {
			t.Fatal(err)
		}
		delete(params, "Action")
		delete(params, "Version")
		for p := range params {
			seen++
			at := snap.Name + "Input"
			for part := range strings.SplitSeq(p, ".") {
				if item, ok := strings.CutPrefix(at, "[]"); ok {
					at = item
				} else {
					at = find(at, part)
				}
				at = strings.TrimPrefix(strings.TrimLeft(at, "*"), "types.")
				if item, ok := strings.CutPrefix(at, "[]types."); ok {
					at = "[]" + item
				}
			}
			if _, isStruct := structs[at]; isStruct || at == "" || strings.HasPrefix(at, "[]") {
				t.Errorf("%s: the parameter %s leads to %q", snap.Name, p, at)
			}
		}
	}
	if seen < 700 {
		t.Errorf("%d parameters seen", seen)
	}
}

// TestEC2ResponseNames compares our names with those that the SDK's client looks for.
func TestEC2ResponseNames(t *testing.T) {
	names := ec2WireNames(t)
	type doc struct{ goType, body string }
	docs := map[string]doc{}
	for _, m := range readerExpr.FindAllStringSubmatch(ec2Source(t, "deserializers.go"), -1) {
		docs[m[1]] = doc{strings.ReplaceAll(strings.TrimLeft(m[2], "*"), "types.", ""), m[0]}
	}
	visited := map[string]bool{}
	members := 0
	var visit func(name, item string)
	visit = func(name, item string) {
		d, ok := docs[name]
		if !ok || visited[name] {
			return
		}
		visited[name] = true
		var cases [][]string
		for _, c := range strings.Split(d.body, "case strings.EqualFold(")[1:] {
			cases = append(cases, caseExpr.FindStringSubmatch(c))
		}
		if strings.HasPrefix(d.goType, "[]") {
			if len(cases) != 1 || cases[0][1] != item {
				t.Errorf("the items of %s are %v, ours %s", name, cases, item)
			}
			if c := calleeExpr.FindStringSubmatch(cases[0][2]); c != nil {
				visit(c[1], "item")
			}
			return
		}
		for _, c := range cases {
			f := targetExpr.FindStringSubmatch(c[2])
			if f == nil {
				t.Errorf("%s: no field for %s", name, c[1])
				continue
			}
			members++
			n := names[d.goType][f[1]]
			ours, items := lowerFirst(f[1]), "item"
			if n.XML != "" {
				ours = n.XML
			}
			if n.Item != "" {
				items = n.Item
			}
			if ours != c[1] {
				t.Errorf("%s.%s is %s, ours %s", d.goType, f[1], c[1], ours)
			}
			if callee := calleeExpr.FindStringSubmatch(c[2]); callee != nil {
				visit(callee[1], items)
			}
		}
	}
	for _, op := range ec2Operations(t) {
		visit(op+"Output", "")
	}
	if members < 800 {
		t.Errorf("%d members seen", members)
	}
}
