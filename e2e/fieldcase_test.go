package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/berth/berth/internal/fidelity"
)

// fieldCase is a paragraph of testdata/fields: which fields it shows, how they
// are set, and what must be seen. testdata/fields/README says how it is written.
type fieldCase struct {
	file   string
	line   int
	fields []string // patterns of the ledger's paths
	parts  []fieldPart
}

// fieldPart is one line of a case: a key, the rest of the line, and its JSON.
type fieldPart struct {
	key, name, text string
}

func (c *fieldCase) at() string { return fmt.Sprintf("%s:%d", c.file, c.line) }

// part is the text of the only line with the key, or empty.
func (c *fieldCase) part(key string) string {
	for _, p := range c.parts {
		if p.key == key {
			return p.text
		}
	}
	return ""
}

// alone reports whether the case needs a task of its own.
func (c *fieldCase) alone() bool {
	return slices.ContainsFunc(c.parts, func(p fieldPart) bool {
		return p.key != "on" && p.key != "container" && (p.key != "sees" || p.name != "")
	})
}

// fieldKeys are the keys that a case's lines may have; those that are true have
// a name after it.
var fieldKeys = map[string]bool{
	"on": false, "definition": false, "container": false, "beside": false, "run": false, "shows": false, "limits": false, "ends": false, "refused": false, "test": false,
	"call": true, "answers": false, "sees": true,
}

// fieldCases reads the cases of a folder of testdata.
func fieldCases(t *testing.T, folder string) []*fieldCase {
	t.Helper()
	files, err := filepath.Glob("testdata/" + folder + "/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("the cases of %s are %v, %v", folder, files, err)
	}
	var cases []*fieldCase
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var c *fieldCase
		for i, line := range strings.Split(string(b), "\n") {
			trimmed := strings.TrimSpace(line)
			switch tabs := len(line) - len(strings.TrimLeft(line, "\t")); {
			case trimmed == "":
				c = nil
			case strings.HasPrefix(line, "#"):
			case tabs == 0:
				if c == nil {
					c = &fieldCase{file: filepath.Base(path), line: i + 1}
					cases = append(cases, c)
				}
				c.fields = append(c.fields, strings.Fields(line)...)
			case c == nil || tabs > 1 && len(c.parts) == 0:
				t.Fatalf("%s:%d: what is it about?", path, i+1)
			case tabs > 1:
				c.parts[len(c.parts)-1].text += " " + trimmed
			default:
				p := fieldPart{}
				p.key, p.text, _ = strings.Cut(trimmed, " ")
				p.text = strings.TrimSpace(p.text)
				named, known := fieldKeys[p.key]
				if !known {
					t.Fatalf("%s:%d: there is no key %q", path, i+1, p.key)
				}
				if named && !strings.HasPrefix(p.text, "{") {
					p.name, p.text, _ = strings.Cut(p.text, " ")
				}
				c.parts = append(c.parts, p)
			}
		}
	}
	return cases
}

// parsed is a JSON text as Go values.
func parsed(text string) (any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("%w in %.200s", err, text)
	}
	return v, nil
}

// merged is base with the members of over; objects are merged in turn, and null
// takes a member away.
func merged(base, over any) any {
	b, ok1 := base.(map[string]any)
	o, ok2 := over.(map[string]any)
	if !ok1 || !ok2 {
		return over
	}
	out := map[string]any{}
	for k, v := range b {
		out[k] = v
	}
	for k, v := range o {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = merged(out[k], v)
		}
	}
	return out
}

// lacking says what of want isn't in got, or is empty. Objects must have the
// members of want, null being none; lists its items in this order, among others;
// a text that begins with "~" is a regular expression, and "$name:=" takes any
// text and keeps it in vars as "$name"; "=" before a list's first item says that
// there are no others.
func lacking(path string, want, got any, vars map[string]string) string {
	switch w := want.(type) {
	case nil:
		if got != nil {
			return fmt.Sprintf("%s is %s, and should not be there", path, short(got))
		}
		return ""
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s is %s, not an object", path, short(got))
		}
		for k, v := range w {
			if d := lacking(path+"."+k, v, g[k], vars); d != "" {
				return d
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok {
			return fmt.Sprintf("%s is %s, not a list", path, short(got))
		}
		if len(w) > 0 && w[0] == "=" {
			w = w[1:]
			if len(w) != len(g) {
				return fmt.Sprintf("%s is %s, not %s", path, short(got), short(want))
			}
		}
		next, last := 0, ""
		for _, item := range w {
			for last = "it has no more"; next < len(g); next++ {
				if last = lacking(fmt.Sprintf("%s[%d]", path, next), item, g[next], vars); last == "" {
					break
				}
			}
			if next == len(g) {
				return fmt.Sprintf("%s is %s, without %s (%s)", path, short(got), short(item), last)
			}
			next++
		}
		return ""
	case string:
		if name, ok := strings.CutSuffix(w, ":="); ok {
			text, ok := got.(string)
			if !ok || text == "" {
				return fmt.Sprintf("%s is %s, not a text", path, short(got))
			}
			vars[name] = text
			return ""
		}
		if pattern, ok := strings.CutPrefix(w, "~"); ok {
			re, err := regexp.Compile(pattern)
			if err != nil {
				return err.Error()
			}
			if got == nil || !re.MatchString(fmt.Sprint(got)) {
				return fmt.Sprintf("%s is %s, which doesn't match %s", path, short(got), pattern)
			}
			return ""
		}
	}
	if !reflect.DeepEqual(want, got) && fmt.Sprintf("%T %v", want, want) != fmt.Sprintf("%T %v", got, got) {
		return fmt.Sprintf("%s is %s, not %s", path, short(got), short(want))
	}
	return ""
}

func short(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%.1500s", b)
}

// setIn calls yield with the ledger's path of each leaf that a request's JSON
// sets. maps has the paths of maps, "….options{}".
func setIn(path string, v any, maps map[string]bool, yield func(string)) {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			if maps[path+"{}"] {
				setIn(path+"{}", inner, maps, yield)
			} else {
				setIn(path+"."+k, inner, maps, yield)
			}
		}
	case []any:
		for _, inner := range v {
			setIn(path+"[]", inner, maps, yield)
		}
	default:
		yield(path)
	}
}

// ledgerLeaves are all fields of the ECS operations that are built, by path.
func ledgerLeaves(t *testing.T) (leaves map[string]fidelity.Leaf, ordered []fidelity.Leaf) {
	t.Helper()
	text, err := os.ReadFile("../api/ecs/fidelity.txt")
	if err != nil {
		t.Fatal(err)
	}
	ledger, err := fidelity.Parse("ecs", text)
	if err != nil {
		t.Fatal(err)
	}
	inputs := fidelity.Inputs((*ecs.Client)(nil))
	leaves = map[string]fidelity.Leaf{}
	for _, op := range served(t, "ecs") {
		for _, leaf := range ledger.Leaves(op, inputs[op]) {
			leaves[leaf.Path] = leaf
			ordered = append(ordered, leaf)
		}
	}
	return leaves, ordered
}

// globbed reports whether a pattern of a case stands for a path: "*" is within a
// name, "**" any rest.
func globbed(pattern, path string) bool {
	var b strings.Builder
	b.WriteString("^")
	for i := 0; i < len(pattern); i++ {
		switch {
		case strings.HasPrefix(pattern[i:], "**"):
			b.WriteString(".*")
			i++
		case pattern[i] == '*':
			b.WriteString(`[^.]*`)
		default:
			b.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		}
	}
	return regexp.MustCompile(b.String() + "$").MatchString(path)
}

// isTest reports whether there is a test: TestName here, or folder.TestName.
func isTest(t *testing.T, name string) bool {
	t.Helper()
	folder := "."
	if i := strings.LastIndex(name, "."); i >= 0 {
		folder, name = "../"+name[:i], name[i+1:]
	}
	files, err := filepath.Glob(folder + "/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(f string) bool {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(b), "\nfunc "+name+"(")
	})
}

// needsCases matches the operations of which each field needs a case: those of
// definitions, tasks, clusters, container instances and tags. The others' fields
// may have some.
var needsCases = regexp.MustCompile(`^(Register|Deregister|Delete|Describe|List)TaskDefinition|^(Run|Start|Stop)Task$|^(Describe|List)Tasks$|^ExecuteCommand$|ContainerInstance|ContainerAgent$|Attributes$|Clusters?$|ClusterSettings$|^(Tag|Untag)Resource$|^ListTagsForResource$`)

// Each field that the ledger calls exact, or without effect, has a case, and
// each case sets the fields that it says it shows. This test is about the table;
// TestFields is about the fields.
func TestFieldsHaveCases(t *testing.T) {
	leaves, ordered := ledgerLeaves(t)
	maps := map[string]bool{}
	for path := range leaves {
		if i := strings.Index(path, "{}"); i >= 0 {
			maps[path[:i+2]] = true
		}
	}
	shown := map[string]bool{}
	for _, c := range fieldCases(t, "fields") {
		set := map[string]bool{}
		for _, r := range c.requests(t) {
			setIn(r.op, r.body, maps, func(path string) {
				if _, ok := leaves[path]; !ok {
					t.Errorf("%s: ECS has no field %s", c.at(), path)
				}
				set[path] = true
			})
		}
		for name := range strings.FieldsSeq(c.part("test")) {
			if !isTest(t, name) {
				t.Errorf("%s: there is no test %s", c.at(), name)
			}
		}
		for _, pattern := range c.fields {
			found := false
			for path, leaf := range leaves {
				if !globbed(pattern, path) || leaf.Verdict == fidelity.Refused {
					continue
				}
				found = true
				if !set[path] && c.part("test") == "" {
					t.Errorf("%s: the case says that it shows %s, and doesn't set it", c.at(), path)
				}
				shown[path] = true
			}
			if !found {
				t.Errorf("%s: the ledger has no exact field %s", c.at(), pattern)
			}
		}
	}
	for _, leaf := range ordered {
		op, _, _ := strings.Cut(leaf.Path, ".")
		if leaf.Verdict != fidelity.Refused && !shown[leaf.Path] && needsCases.MatchString(op) {
			t.Errorf("%s is %s by the ledger, and no case of testdata/fields shows it", leaf.Path, leaf.Verdict)
		}
	}
}
