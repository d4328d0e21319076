package ec2

import (
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// fields are the filters of one kind of row: by name, the values that a row has
// under it. A row without any is found by no value.
type fields[T any] map[string]func(T) []string

// maxFilterValues is EC2's limit for one call.
const maxFilterValues = 200

// sieve returns what decides whether a row passes all filters. Each filter needs
// one of its values to match one of the row's. tags is nil for kinds that have
// none; otherwise the filters "tag:KEY" and "tag-key" are known.
func sieve[T any](filters []types.Filter, known fields[T], tags func(T) []types.Tag) (func(T) bool, error) {
	type test struct {
		values   func(T) []string
		patterns []string
	}
	var tests []test
	total := 0
	for i, f := range filters {
		name := aws.ToString(f.Name)
		if name == "" {
			return nil, missing("Filter." + strconv.Itoa(i+1) + ".Name")
		}
		values := known[name]
		if tags != nil && values == nil {
			values = tagValues(name, tags)
		}
		if values == nil {
			return nil, invalidValue("The filter '%s' is invalid", name)
		}
		if len(f.Values) == 0 {
			return nil, missing("Filter." + strconv.Itoa(i+1) + ".Value.1")
		}
		if total += len(f.Values); total > maxFilterValues {
			return nil, fail("FilterLimitExceeded", "The maximum number of filter values specified on a single call is %d", maxFilterValues)
		}
		tests = append(tests, test{values, f.Values})
	}
	return func(row T) bool {
		for _, t := range tests {
			if !anyMatch(t.patterns, t.values(row)) {
				return false
			}
		}
		return true
	}, nil
}

// tagValues is the filter on tags with this name, or nil.
func tagValues[T any](name string, tags func(T) []types.Tag) func(T) []string {
	key, ofKey := strings.CutPrefix(name, "tag:")
	if !ofKey && name != "tag-key" {
		return nil
	}
	return func(row T) []string {
		var out []string
		for _, t := range tags(row) {
			switch {
			case !ofKey:
				out = append(out, aws.ToString(t.Key))
			case aws.ToString(t.Key) == key:
				out = append(out, aws.ToString(t.Value))
			}
		}
		return out
	}
}

func anyMatch(patterns, values []string) bool {
	for _, v := range values {
		for _, p := range patterns {
			if like(p, v) {
				return true
			}
		}
	}
	return false
}

// like matches a filter's value: * stands for any characters, none included, ?
// for one, and \ takes the next as it is (Amazon EC2 User Guide, "List and filter").
// Its time grows with the product of both lengths at worst.
func like(pattern, s string) bool {
	p, v := wildcards(pattern), []rune(s)
	i, j := 0, 0
	star, eaten := -1, 0 // the last *, and up to where it reaches
	for j < len(v) {
		switch {
		case i < len(p) && p[i] == anyRunes:
			star, eaten = i, j
			i++
		case i < len(p) && (p[i] == anyRune || p[i] == v[j]):
			i, j = i+1, j+1
		case star >= 0:
			eaten++
			i, j = star+1, eaten
		default:
			return false
		}
	}
	for i < len(p) && p[i] == anyRunes {
		i++
	}
	return i == len(p)
}

// What * and ? become: runes that no text has.
const (
	anyRunes rune = -1
	anyRune  rune = -2
)

func wildcards(pattern string) []rune {
	var out []rune
	escaped := false
	for _, r := range pattern {
		switch {
		case escaped:
			escaped = false
			out = append(out, r)
		case r == '\\':
			escaped = true
		case r == '*':
			out = append(out, anyRunes)
		case r == '?':
			out = append(out, anyRune)
		default:
			out = append(out, r)
		}
	}
	if escaped {
		out = append(out, '\\')
	}
	return out
}

// The values of a row's members, for filters.

func text[S ~string](v *S) []string {
	if v == nil {
		return nil
	}
	return []string{string(*v)}
}

func word[S ~string](v S) []string {
	if v == "" {
		return nil
	}
	return []string{string(v)}
}

func truth(v *bool) []string {
	if v == nil {
		return nil
	}
	return []string{strconv.FormatBool(*v)}
}

func number(v *int32) []string {
	if v == nil {
		return nil
	}
	return []string{strconv.Itoa(int(*v))}
}

func moment(v *time.Time) []string {
	if v == nil {
		return nil
	}
	return []string{v.UTC().Format("2006-01-02T15:04:05.000Z")}
}

// each gathers the values of a row's items.
func each[I any](items []I, values func(I) []string) []string {
	var out []string
	for _, item := range items {
		out = append(out, values(item)...)
	}
	return out
}

// never is a filter that EC2 knows and that finds nothing here: no row can have
// what it asks for.
func never[T any](T) []string { return nil }
