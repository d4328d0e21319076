package fidelity

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"
)

type tree struct {
	Name     *string
	Children []tree
	private  int
}

type shape interface{ isShape() }

type shapeMemberRound struct{ Value ring }

func (*shapeMemberRound) isShape() {}

type ring struct{ Radius *int32 }

// DoInput has a field of each form.
type DoInput struct {
	Text    *string
	Flag    *bool
	Number  *int32
	Plain   int32
	Kind    time.Duration
	List    []string
	Labels  map[string]string
	Tree    *tree
	Shape   shape
	When    *time.Time
	Blob    []byte
	Empty   *ring
	Objects []ring
}

type DoOutput struct{}

type service struct{}

func (*service) Do(context.Context, *DoInput) (*DoOutput, error)    { return nil, nil }
func (*service) Other(context.Context, *DoInput) (*DoOutput, error) { return nil, nil }
func (*service) Check(ctx context.Context, op string, in any) error { return nil }
func (*service) Close() error                                       { return nil }

func parse(t *testing.T, text string) *Ledger {
	t.Helper()
	l, err := Parse("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"Do", "no verdict"},
		{"Do maybe", "an operation is"},
		{"Do refused x", "an operation is"},
		{"Do.a unsupported x", "a field is"},
		{"Do.a refused", "needs a reason"},
		{"Do.a exact very", "takes no reason"},
		{"Do..a exact", "empty name"},
		{"** exact", "does not stand for an operation"},
		{"Do.a exact\n\nDo.a exact", "line 3: Do.a was decided in line 1"},
		{"@members odd", "no directive"},
	} {
		if _, err := Parse("test", []byte(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %v, want %q", tc.text, err, tc.want)
		}
	}
}

func TestInputsFindsOperationsOnly(t *testing.T) {
	got := Inputs(&service{})
	if len(got) != 1 || got["Do"] != reflect.TypeFor[DoInput]() {
		t.Error(got)
	}
}

func TestLeaves(t *testing.T) {
	l := parse(t, "")
	var got []string
	l.leaves("Do", reflect.TypeFor[DoInput](), nil, func(p string) { got = append(got, p) })
	want := "Do.text Do.flag Do.number Do.plain Do.kind Do.list[] Do.labels{} Do.tree.name Do.tree.children[] " +
		"Do.shape Do.when Do.blob Do.empty.radius Do.objects[].radius"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("\n%s\nwant\n%s", s, want)
	}
	upper := parse(t, "@members upper")
	got = nil
	upper.leaves("Do", reflect.TypeFor[tree](), nil, func(p string) { got = append(got, p) })
	if s := strings.Join(got, " "); s != "Do.Name Do.Children[]" {
		t.Error(s)
	}
}

func TestMostSpecificWins(t *testing.T) {
	l := parse(t, `
		Do.**            refused wide
		Do.tree.**       refused narrower
		*.tree.name      refused named
		Do.list[]        refused literal
		*.l*             refused glob
	`)
	for path, want := range map[string]string{
		"Do.text": "wide", "Do": "wide", "Do.tree.children[]": "narrower", "Do.tree": "narrower",
		"Do.tree.name": "named", "Do.list[]": "literal", "Do.labels{}": "glob",
	} {
		if n := l.decide(path); n == nil || n.reason != want {
			t.Errorf("%s: %+v, want %s", path, n, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	ptr := func(s string) *string { return &s }
	zero, no, yes := int32(0), false, true
	now := time.Unix(1, 0)
	all := "Do exact\nDo.** refused r"
	for _, tc := range []struct {
		name, ledger string
		in           DoInput
		want         string
	}{
		{"nothing set", all, DoInput{Flag: &no, Text: ptr(""), List: []string{}, Labels: map[string]string{}}, ""},
		{"text", all, DoInput{Text: ptr("x")}, "text"},
		{"flag", all, DoInput{Flag: &yes}, "flag"},
		{"zero is a number", all, DoInput{Number: &zero}, "number"},
		{"plain zero is not", all, DoInput{Plain: 0, Kind: 1}, "kind"},
		{"items", all, DoInput{List: []string{"", "b"}}, "list[0] list[1]"},
		{"map", all, DoInput{Labels: map[string]string{"a.b": ""}}, "labels{a.b}"},
		{"time and bytes", all, DoInput{When: &now, Blob: []byte{0}}, "when blob"},
		{"empty struct is set", all, DoInput{Empty: &ring{}}, "empty"},
		{"empty item is set", all, DoInput{Objects: []ring{{}}}, "objects[0]"},
		{"empty struct of which a part is refused", "Do.empty.radius refused r", DoInput{Empty: &ring{}, Objects: []ring{{}}}, ""},
		{"all of a struct is one refusal", "Do.objects[].** refused r", DoInput{Objects: []ring{{&zero}, {}}}, "objects[0] objects[1]"},
		{"undecided", "Do exact", DoInput{Text: ptr("x")}, "text"},
		{"no effect", "Do.text noeffect r", DoInput{Text: ptr("x")}, ""},
		{"union takes its line", "Do.shape refused r", DoInput{Shape: &shapeMemberRound{ring{&zero}}}, "shape.round.radius"},
		{"an empty variant is set", "Do.shape refused r", DoInput{Shape: &shapeMemberRound{}}, "shape.round"},
		{"union, exact", "Do.shape exact", DoInput{Shape: &shapeMemberRound{ring{&zero}}}, ""},
		{"union's variant", "Do.shape refused r\nDo.shape.round.** exact", DoInput{Shape: &shapeMemberRound{ring{&zero}}}, ""},
		{"recursion takes its line", "Do.tree.name exact\nDo.tree.children[] exact",
			DoInput{Tree: &tree{Children: []tree{{Name: ptr("x"), Children: []tree{{Name: ptr("y")}}}}}}, ""},
		{"recursion, refused", "Do.tree.name exact\nDo.tree.children[] refused r",
			DoInput{Tree: &tree{Name: ptr("x"), Children: []tree{{Name: ptr("x")}}}}, "tree.children[0].name"},
	} {
		l := parse(t, tc.ledger)
		var got []string
		for _, r := range l.Refusals("Do", &tc.in) {
			got = append(got, r.Path)
		}
		if s := strings.Join(got, " "); s != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, s, tc.want)
		}
	}
}

func TestAudit(t *testing.T) {
	inputs := map[string]reflect.Type{"Do": reflect.TypeFor[ring](), "Rest": nil, "More": nil}
	for _, tc := range []struct{ ledger, want string }{
		{"Do exact\nDo.radius exact\nRest unsupported r\nMore unsupported r", ""},
		{"Do exact\nDo.radius exact\n* unsupported r", ""},
		{"Do exact\nMore unsupported r", "Do.radius: nobody decided about it; Rest: nobody decided about it"},
		{"Do unsupported r\nDo.radius exact\n* unsupported r", "line 2: Do.radius counts for nothing"},
		{"* unsupported r\nRest exact", "Rest: is exact by the ledger, and there is no input for it"},
		{"Do exact\n* unsupported r\nDo.radiu* exact\nDo.*adius exact", "Do.radius: lines 3 and 4 are equally specific"},
	} {
		if got := strings.Join(parse(t, tc.ledger).Audit(inputs), "; "); got != tc.want {
			t.Errorf("%q:\n%s\nwant\n%s", tc.ledger, got, tc.want)
		}
	}
}

func TestAuditMethods(t *testing.T) {
	inputs := map[string]reflect.Type{"Do": nil, "Rest": nil}
	if got := parse(t, "* unsupported r\nRest exact").AuditMethods(inputs, &service{}); len(got) != 2 {
		t.Error(got)
	}
	if got := parse(t, "Do exact\nRest unsupported r").AuditMethods(inputs, &service{}); len(got) != 0 {
		t.Error(got)
	}
}

func TestMarkdown(t *testing.T) {
	l := parse(t, "Do exact\nDo.** exact\nDo.tree.** refused not|built\nDo.text noeffect no use\nRest unsupported later")
	got := l.Markdown("Test", map[string]reflect.Type{"Do": reflect.TypeFor[DoInput](), "Rest": nil})
	for _, want := range []string{
		"1 of 2 operations are built.", "### Do\n\nAs on AWS: 11. Not:",
		"| `text` | no effect | no use |", "| `tree` | refused | not\\|built |", "| later | Rest |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
