package berth_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/berth/berth"

// forbidden are modules of others that may not come in by any way.
var forbidden = map[string]string{
	"github.com/aws/aws-sdk-go-v2/service/ec2": "EC2's client takes minutes and 3 GB to compile: its types alone are used",
	"github.com/docker/docker/client":          "Docker's daemon is never in the path",
}

// siblings may not import each other: they meet in the store.
var siblings = []string{"api", "control"}

// An arrow is a line of ARCHITECTURE.md: what a folder may import, and why no more.
type arrow struct {
	to  []string
	why string
}

func TestArrows(t *testing.T) {
	arrows := readArrows(t)
	used := map[string]bool{}
	for pkg, p := range packages(t) {
		from := ""
		for folder := range arrows {
			if below(pkg, folder) && len(folder) > len(from) {
				from = folder
			}
		}
		a, ok := arrows[from]
		if !ok {
			t.Errorf("ARCHITECTURE.md has no arrow for %s", pkg)
			continue
		}
		used[from] = true
		for _, dep := range p.imports {
			may := below(dep, from) || slices.ContainsFunc(a.to, func(to string) bool { return to == "everything" || below(dep, to) })
			if !may {
				t.Errorf("%s imports %s: %s %s", pkg, dep, from, a.why)
			}
			for _, s := range siblings {
				x, y := sibling(pkg, s), sibling(dep, s)
				if x != "" && y != "" && x != y {
					t.Errorf("%s imports %s: packages under %s meet in the store, not in each other", pkg, dep, s)
				}
			}
		}
		for dep, why := range forbidden {
			if slices.Contains(p.all, dep) {
				t.Errorf("%s depends on %s: %s", pkg, dep, why)
			}
		}
	}
	for from := range arrows {
		if !used[from] {
			t.Errorf("ARCHITECTURE.md has an arrow for %s, where no package is", from)
		}
	}
}

// readArrows reads the lines "folder → folders   why" of ARCHITECTURE.md.
func readArrows(t *testing.T) map[string]arrow {
	t.Helper()
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	arrows := map[string]arrow{}
	for _, m := range regexp.MustCompile(`(?m)^    (\S+) +→ ?(.*?)  +(.+)$`).FindAllStringSubmatch(string(text), -1) {
		arrows[m[1]] = arrow{strings.Fields(m[2]), m[3]}
	}
	if len(arrows) < 10 {
		t.Fatalf("ARCHITECTURE.md has only %d arrows", len(arrows))
	}
	return arrows
}

// sibling is the folder of pkg directly under parent, or "".
func sibling(pkg, parent string) string {
	rest, ok := strings.CutPrefix(pkg, parent+"/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

func below(pkg, root string) bool { return pkg == root || strings.HasPrefix(pkg, root+"/") }

// pkg is what a package depends on, test files left out: what of ours it
// imports, by folder, and everything, directly or not.
type pkg struct{ imports, all []string }

// packages returns ours, by folder, but for the root's, which is tests.
func packages(t *testing.T) map[string]pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	found := map[string]pkg{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath    string
			Imports, Deps []string
		}
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		folder, ok := strings.CutPrefix(p.ImportPath, module+"/")
		if !ok {
			continue
		}
		one := pkg{all: p.Deps}
		for _, i := range p.Imports {
			if ours, ok := strings.CutPrefix(i, module+"/"); ok {
				one.imports = append(one.imports, ours)
			}
		}
		found[folder] = one
	}
	if len(found) < 10 {
		t.Fatalf("go list found only %d packages", len(found))
	}
	return found
}
