package berth_test

import (
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/berth/berth"

// arrows are the imports that must not come to exist, with the reason for each
// (see ARCHITECTURE.md). A package matches a pattern when it is it or below it.
var arrows = []struct{ from, to, why string }{
	{"wire", "state", "wire knows protocols, not what they speak of"},
	{"wire", "store", "wire knows protocols, not what they speak of"},
	{"wire", "api", "wire finds operations by reflection; it knows no service"},
	{"wire", "agent", "the server's edge doesn't know the node"},
	{"wire", "control", "wire answers requests; loops are not its business"},
	{"state", "store", "records don't know where they are kept"},
	{"state", "wire", "records don't know how they are asked for"},
	{"state", "api", "records don't know their users"},
	{"state", "control", "records don't know their users"},
	{"state", "agent", "records don't know their users"},
	{"store", "wire", "the store knows records and an engine"},
	{"store", "api", "the store knows records and an engine"},
	{"store", "control", "the store knows records and an engine"},
	{"store", "agent", "the store knows records and an engine"},
	{"place", "store", "placement is pure: values in, a decision out"},
	{"place", "wire", "placement is pure: values in, a decision out"},
	{"api", "control", "a call validates, decides and writes; loops act"},
	{"api", "agent", "a call never reaches a node: the store is between them"},
	{"control", "api", "loops read records, not requests"},
	{"control", "wire", "loops read records, not requests"},
	{"control", "agent", "a loop talks to a node through an interface of its own"},
	{"agent", "store", "a node is told what to do; it may be another machine"},
	{"agent", "api", "a node knows assignments, not AWS's API"},
	{"agent", "control", "a node knows assignments, not who made them"},
	{"agent", "wire", "a node knows assignments, not AWS's API"},
	{"agent", "logstore", "a node ships lines to a sink; what keeps them is the server's"},
	{"logstore", "store", "log lines are not desired state"},
	{"logstore", "state", "log lines are not desired state"},
	{"logstore", "agent", "the log store doesn't know who writes"},
	{"logstore", "api", "the log store doesn't know who writes"},
	{"internal", "state", "internal holds leaves, which import nothing of ours"},
	{"internal", "store", "internal holds leaves, which import nothing of ours"},
	{"internal", "wire", "internal holds leaves, which import nothing of ours"},
	{"cli", "store", "a person's commands use the APIs, not the store"},
	{"cli", "agent", "a person's commands use the APIs, not the node"},
	{"", "github.com/aws/aws-sdk-go-v2/service/ec2", "EC2's client takes minutes and 3 GB to compile: its types alone are used"},
	{"", "github.com/docker/docker/client", "Docker's daemon is never in the path"},
}

// siblings may not import each other: they meet in the store.
var siblings = []string{"api", "control"}

func TestArrows(t *testing.T) {
	for pkg, deps := range imports(t) {
		for _, dep := range deps {
			for _, a := range arrows {
				to := a.to
				exact := strings.Contains(to, ".")
				if !exact {
					to = module + "/" + to
				}
				if below(pkg, strings.TrimSuffix(module+"/"+a.from, "/")) && (dep == to || !exact && below(dep, to)) {
					t.Errorf("%s imports %s: %s", pkg, dep, a.why)
				}
			}
			for _, s := range siblings {
				from, to := sibling(pkg, s), sibling(dep, s)
				if from != "" && to != "" && from != to {
					t.Errorf("%s imports %s: packages under %s meet in the store, not in each other", pkg, dep, s)
				}
			}
		}
	}
}

// sibling is the folder of pkg directly under parent, or "".
func sibling(pkg, parent string) string {
	rest, ok := strings.CutPrefix(pkg, module+"/"+parent+"/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

func below(pkg, root string) bool { return pkg == root || strings.HasPrefix(pkg, root+"/") }

// imports returns each of our packages with all it depends on, directly or
// not, test files left out.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Deps", "./...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string][]string{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Deps       []string
		}
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if below(p.ImportPath, module) {
			all[p.ImportPath] = p.Deps
		}
	}
	if len(all) < 10 {
		t.Fatalf("go list found only %d packages", len(all))
	}
	return all
}
