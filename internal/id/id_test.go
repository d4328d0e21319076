package id

import (
	"regexp"
	"testing"
)

// IDs have AWS's forms, and no two are the same.
func TestForms(t *testing.T) {
	for form, make := range map[string]func() string{
		`^[0-9a-f]{32}$`:      func() string { return Hex(16) },
		`^eni-0[0-9a-f]{16}$`: func() string { return Resource("eni") },
		`^[1-9][0-9]{18}$`:    func() string { return Digits(19) },
		`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`: UUID,
	} {
		re, seen := regexp.MustCompile(form), map[string]bool{}
		for range 1000 {
			s := make()
			if !re.MatchString(s) || seen[s] {
				t.Fatalf("%s: %q, seen before: %t", form, s, seen[s])
			}
			seen[s] = true
		}
	}
}
