package berth_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// licences are those that code in bin/berth may have, each with words that only
// its text has. The source of a file under the MPL must be offered to whoever
// gets the binary: NOTICE has to name such a module.
var licences = []struct {
	name  string
	words *regexp.Regexp
}{
	{"Apache-2.0", regexp.MustCompile(`Apache License,? Version 2\.0`)},
	{"MIT", regexp.MustCompile(`Permission is hereby granted, free of charge, to any person obtaining a copy`)},
	{"BSD", regexp.MustCompile(`Redistribution and use in source and binary forms, with or without modification, are permitted`)},
	{"ISC", regexp.MustCompile(`Permission to use, copy, modify, and(/or)? distribute this software for any purpose`)},
	{"MPL-2.0", regexp.MustCompile(`Mozilla Public License,? [Vv]ersion 2\.0`)},
}

// others are licences that it must not have, not even beside one of the above.
var others = regexp.MustCompile(`GNU (AFFERO |LESSER |LIBRARY )?GENERAL PUBLIC LICENSE|Business Source License|Server Side Public License`)

func TestLicences(t *testing.T) {
	notice, err := os.ReadFile("NOTICE")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Dir}}{{end}}{{end}}", "./cmd/berth")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	modules := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(modules)
	modules = slices.Compact(modules)
	if len(modules) < 50 {
		t.Fatalf("go list found only %d modules", len(modules))
	}
	for _, m := range modules {
		path, dir, _ := strings.Cut(m, " ")
		found := licencesIn(t, path, dir)
		if len(found) == 0 {
			t.Errorf("%s: no licence that we know, in %s", path, dir)
		}
		if slices.Contains(found, "MPL-2.0") && !strings.Contains(string(notice), path) {
			t.Errorf("%s is under the MPL-2.0: name it in NOTICE", path)
		}
	}
}

// licencesIn returns the names of the licences of the module at dir.
func licencesIn(t *testing.T, path, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		name := strings.ToUpper(e.Name())
		if e.IsDir() || !strings.HasPrefix(name, "LICENSE") && !strings.HasPrefix(name, "LICENCE") && !strings.HasPrefix(name, "COPYING") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(strings.Fields(string(b)), " ")
		if other := others.FindString(text); other != "" {
			t.Errorf("%s: %s has the %s", path, e.Name(), other)
		}
		for _, l := range licences {
			if l.words.MatchString(text) {
				found = append(found, l.name)
			}
		}
	}
	return found
}
