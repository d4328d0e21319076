package ec2

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/berth/berth/internal/page"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// query is what all Describe operations are asked for, but for IDs.
type query struct {
	dryRun  *bool
	filters []types.Filter
	max     *int32
	next    *string
	// least and most are the range of max.
	least, most int32
}

// listing is how an operation shows one kind.
type listing[T any] struct {
	operation string
	id        func(T) *string
	fields    fields[T]
	tags      func(T) []types.Tag // nil for kinds without tags
}

// run filters rows, sorts them by ID and returns the page that was asked for,
// and the token of the next one. The rows are given when they are wanted: after
// the request itself was found right.
func (l listing[T]) run(ctx context.Context, q query, rows func() ([]T, error)) ([]T, *string, error) {
	passes, err := sieve(q.filters, l.fields, l.tags)
	if err != nil {
		return nil, nil, err
	}
	if q.max != nil && (*q.max < q.least || *q.max > q.most) {
		return nil, nil, badMaxResults(*q.max, q.least, q.most)
	}
	all, err := rows()
	if err != nil {
		return nil, nil, err
	}
	out := []T{}
	for _, row := range all {
		if passes(row) {
			out = append(out, row)
		}
	}
	key := func(row T) string { return aws.ToString(l.id(row)) }
	slices.SortFunc(out, func(a, b T) int { return strings.Compare(key(a), key(b)) })
	if err := dryRun(q.dryRun); err != nil {
		return nil, nil, err
	}
	scope := scopeOf(ctx)
	list := "ec2/" + l.operation + "/" + scope.Account + "/" + scope.Region
	out, next, err := page.Cut(out, key, list, aws.ToString(q.next), int(aws.ToInt32(q.max)))
	if err != nil {
		return nil, nil, badToken(*q.next)
	}
	if next == "" {
		return out, nil, nil
	}
	return out, &next, nil
}

// records returns the records with the IDs, each once, or all of the scope where
// no ID is given.
func records[R any](v store.View, t *store.Table[R], scope state.Scope, k kind, ids []string) ([]*R, error) {
	if len(ids) == 0 {
		return collect(t.List(v, scope, "")), nil
	}
	var out []*R
	seen := map[string]bool{}
	for _, id := range ids {
		r, err := record(v, t, scope, k, id)
		if err != nil {
			return nil, err
		}
		if !seen[id] {
			seen[id] = true
			out = append(out, r)
		}
	}
	return out, nil
}

// record returns the record with an ID.
func record[R any](v store.View, t *store.Table[R], scope state.Scope, k kind, id string) (*R, error) {
	if err := k.check(id); err != nil {
		return nil, err
	}
	r, ok := t.Get(v, scope.Key(id))
	if !ok {
		return nil, k.notFound(id)
	}
	return r, nil
}

func collect[R any](seq iter.Seq[*R]) []*R {
	var out []*R
	for r := range seq {
		out = append(out, r)
	}
	return out
}

// show turns records into rows.
func show[R, T any](rs []*R, f func(*R) T) []T {
	out := make([]T, len(rs))
	for i, r := range rs {
		out[i] = f(r)
	}
	return out
}

func badMaxResults(asked, least, most int32) error {
	expected := fmt.Sprintf("greater than or equal to %d", least)
	if asked > most {
		expected = fmt.Sprintf("less than or equal to %d", most)
	}
	return invalidValue("Value ( %d ) for parameter maxResults is invalid. Expecting a value %s.", asked, expected)
}

func badToken(token string) error {
	return fail("InvalidNextToken", "The specified NextToken '%s' is not valid.", token)
}
