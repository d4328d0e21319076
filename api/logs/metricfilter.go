package logs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/berth/berth/api/logs/pattern"
	"github.com/berth/berth/logstore"
)

// Kinds of records that are kept beside a group.
const (
	metricFilters       = "metricfilter"
	subscriptionFilters = "subscriptionfilter"
)

// The limits of filters (CloudWatch Logs quotas; API_PutMetricFilter).
const (
	maxMetricFilters       = 100
	maxSubscriptionFilters = 2
	maxRegexFilters        = 5 // filters with regular expressions, of both kinds
	maxDimensions          = 3
)

// TestMetricFilter matches messages against a filter pattern.
func (s *Service) TestMetricFilter(_ context.Context, in *cwl.TestMetricFilterInput) (*cwl.TestMetricFilterOutput, error) {
	p, err := pattern.Parse(aws.ToString(in.FilterPattern))
	if err != nil {
		return nil, invalid("%v", err)
	}
	out := &cwl.TestMetricFilterOutput{Matches: []types.MetricFilterMatchRecord{}}
	for i, m := range in.LogEventMessages {
		if found, ok := p.Extract(m); ok {
			out.Matches = append(out.Matches, types.MetricFilterMatchRecord{EventNumber: int64(i + 1), EventMessage: &m, ExtractedValues: found})
		}
	}
	return out, nil
}

// PutMetricFilter keeps a metric filter, which replaces the one of its name.
func (s *Service) PutMetricFilter(ctx context.Context, in *cwl.PutMetricFilterInput) (*cwl.PutMetricFilterOutput, error) {
	p, err := pattern.Parse(aws.ToString(in.FilterPattern))
	if err != nil {
		return nil, invalid("%v", err)
	}
	for _, t := range in.MetricTransformations {
		if err := checkTransformation(p, t); err != nil {
			return nil, err
		}
	}
	return nil, putFilter(ctx, s, aws.ToString(in.LogGroupName), metricFilters, aws.ToString(in.FilterName), p.Regexes() > 0, types.MetricFilter{
		FilterName: in.FilterName, FilterPattern: in.FilterPattern, LogGroupName: in.LogGroupName,
		MetricTransformations: in.MetricTransformations, CreationTime: aws.Int64(s.now().UnixMilli()),
	})
}

// checkTransformation holds a metric transformation to its filter pattern
// (API_MetricTransformation).
func checkTransformation(p *pattern.Pattern, t types.MetricTransformation) error {
	if aws.ToString(t.MetricName) == "" || aws.ToString(t.MetricNamespace) == "" {
		return invalid("A metric filter needs a metric name and a metric namespace.")
	}
	if strings.HasPrefix(*t.MetricNamespace, "AWS/") {
		return invalid("Invalid metric transformation: the metric namespace must not begin with 'AWS/'")
	}
	if err := checkSelector(p, aws.ToString(t.MetricValue)); err != nil {
		if _, e := strconv.ParseFloat(aws.ToString(t.MetricValue), 64); e != nil {
			return invalid("Invalid metric transformation: the metric value '%s' is neither a number nor a field of the filter pattern", aws.ToString(t.MetricValue))
		}
	}
	if t.Unit != "" && !slices.Contains(t.Unit.Values(), t.Unit) {
		return invalid("Invalid metric transformation: '%s' is not a unit", t.Unit)
	}
	if len(t.Dimensions) == 0 {
		return nil
	}
	switch {
	case p.Kind() == pattern.Terms:
		return invalid("The specified filter pattern does not support dimensions")
	case t.DefaultValue != nil:
		return invalid("Invalid metric transformation: dimensions and default value are mutually exclusive properties.")
	case len(t.Dimensions) > maxDimensions:
		return invalid("Invalid metric transformation: a metric filter can have no more than %d dimensions", maxDimensions)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Dimensions)) {
		if err := checkSelector(p, t.Dimensions[name]); err != nil {
			return invalid("Invalid metric transformation: the dimension '%s' has the value '%s', which is not a field of the filter pattern", name, t.Dimensions[name])
		}
	}
	return nil
}

// errSelector is for a text that is no field of a pattern.
var errSelector = errors.New("not a field")

// checkSelector holds a reference to the pattern's fields: $name of a delimited
// one, $.path of a JSON one.
func checkSelector(p *pattern.Pattern, value string) error {
	switch p.Kind() {
	case pattern.Delimited:
		if n, ok := strings.CutPrefix(value, "$"); ok {
			if _, err := strconv.ParseUint(n, 10, 16); err == nil || slices.Contains(p.Names(), value) {
				return nil
			}
		}
	case pattern.JSON:
		// A selector is what may stand before NOT EXISTS.
		if _, err := pattern.Parse("{ " + value + " NOT EXISTS }"); err == nil && strings.HasPrefix(value, "$") && !strings.ContainsAny(value, " &|()") {
			return nil
		}
	}
	return errSelector
}

// keptFilter is a filter as it is kept, and whether its pattern has regular
// expressions.
type keptFilter[T any] struct {
	Filter T
	Regex  bool
}

// putFilter keeps a filter beside its group, within the limits of its kind.
func putFilter[T any](ctx context.Context, s *Service, group, kind, name string, regex bool, f T) error {
	doc, err := json.Marshal(keptFilter[T]{f, regex})
	if err != nil {
		return fmt.Errorf("write filter %s of log group %s: %w", name, group, err)
	}
	limit := maxMetricFilters
	other := subscriptionFilters
	if kind == subscriptionFilters {
		limit, other = maxSubscriptionFilters, metricFilters
	}
	others, err := s.store.Docs(scopeOf(ctx), group, other)
	if err != nil {
		return answer(err)
	}
	exceeded := &types.LimitExceededException{Message: aws.String("Resource limit exceeded.")}
	return answer(s.store.UpdateDocs(scopeOf(ctx), group, kind, func(docs map[string][]byte) error {
		docs[name] = doc
		if len(docs) > limit {
			return exceeded
		}
		if n := regexes(docs) + regexes(others); regex && n > maxRegexFilters {
			return exceeded
		}
		return nil
	}))
}

// regexes counts the filters with regular expressions.
func regexes(docs map[string][]byte) int {
	n := 0
	for _, d := range docs {
		var f keptFilter[json.RawMessage]
		if json.Unmarshal(d, &f) == nil && f.Regex {
			n++
		}
	}
	return n
}

// deleteFilter deletes a filter of a group.
func (s *Service) deleteFilter(ctx context.Context, group, kind, name string) error {
	return answer(s.store.UpdateDocs(scopeOf(ctx), group, kind, func(docs map[string][]byte) error {
		if docs[name] == nil {
			what := "metric filter"
			if kind == subscriptionFilters {
				what = "subscription filter"
			}
			return &types.ResourceNotFoundException{Message: aws.String("The specified " + what + " does not exist.")}
		}
		delete(docs, name)
		return nil
	}))
}

// filters returns the filters of a kind, of one group by name or of all groups
// by the name of the group and then theirs; keys are their places in that order.
func filters[T any](s *Service, scope logstore.Scope, group *string, kind string) (keys []string, all []T, err error) {
	groups := []string{aws.ToString(group)}
	if group == nil {
		groups = nil
		for _, g := range s.store.Groups(scope) {
			groups = append(groups, g.Name)
		}
	}
	for _, g := range groups {
		docs, err := s.store.Docs(scope, g, kind)
		if errors.Is(err, logstore.ErrNoGroup) && group == nil {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, nil, answer(err)
		}
		for _, name := range slices.Sorted(maps.Keys(docs)) {
			var f keptFilter[T]
			if err := json.Unmarshal(docs[name], &f); err != nil {
				return nil, nil, fmt.Errorf("read filter %s of log group %s: %w", name, g, err)
			}
			keys, all = append(keys, name+"\x00"+g), append(all, f.Filter)
		}
	}
	return keys, all, nil
}

// row is a filter with its place in a list.
type row[T any] struct {
	key    string
	filter T
}

// DeleteMetricFilter deletes a metric filter.
func (s *Service) DeleteMetricFilter(ctx context.Context, in *cwl.DeleteMetricFilterInput) (*cwl.DeleteMetricFilterOutput, error) {
	return nil, s.deleteFilter(ctx, aws.ToString(in.LogGroupName), metricFilters, aws.ToString(in.FilterName))
}

// DescribeMetricFilters lists metric filters by name.
func (s *Service) DescribeMetricFilters(ctx context.Context, in *cwl.DescribeMetricFiltersInput) (*cwl.DescribeMetricFiltersOutput, error) {
	if (in.MetricName == nil) != (in.MetricNamespace == nil) {
		return nil, invalid("metricName and metricNamespace must be specified together.")
	}
	if in.FilterNamePrefix != nil && in.LogGroupName == nil {
		return nil, invalid("filterNamePrefix can be specified only with logGroupName.")
	}
	keys, all, err := filters[types.MetricFilter](s, scopeOf(ctx), in.LogGroupName, metricFilters)
	if err != nil {
		return nil, err
	}
	var rows []row[types.MetricFilter]
	for i, f := range all {
		if !strings.HasPrefix(*f.FilterName, aws.ToString(in.FilterNamePrefix)) {
			continue
		}
		if in.MetricName != nil && !slices.ContainsFunc(f.MetricTransformations, func(t types.MetricTransformation) bool {
			return *t.MetricName == *in.MetricName && *t.MetricNamespace == *in.MetricNamespace
		}) {
			continue
		}
		rows = append(rows, row[types.MetricFilter]{keys[i], f})
	}
	slices.SortFunc(rows, func(a, b row[types.MetricFilter]) int { return strings.Compare(a.key, b.key) })
	list := fmt.Sprintf("DescribeMetricFilters/%s/%s/%s/%s", aws.ToString(in.LogGroupName), aws.ToString(in.FilterNamePrefix), aws.ToString(in.MetricName), aws.ToString(in.MetricNamespace))
	rows, next, err := cut(rows, func(r row[types.MetricFilter]) string { return r.key }, list, in.NextToken, limitOf(in.Limit, describeLimit))
	if err != nil {
		return nil, err
	}
	out := &cwl.DescribeMetricFiltersOutput{MetricFilters: []types.MetricFilter{}, NextToken: next}
	for _, r := range rows {
		out.MetricFilters = append(out.MetricFilters, r.filter)
	}
	return out, nil
}
