package cloudwatch

import (
	"context"
	_ "embed"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/berth/berth/internal/fidelity"
	"github.com/berth/berth/metricstore"
	"github.com/berth/berth/wire"
)

// Service is CloudWatch's API.
type Service struct {
	store  *metricstore.Store
	now    func() time.Time
	ledger *fidelity.Ledger
}

// New returns the API of what store keeps.
func New(store *metricstore.Store, now func() time.Time) *Service {
	return &Service{store: store, now: now, ledger: Ledger()}
}

//go:embed fidelity.txt
var ledgerText []byte

// Ledger is what Berth does with each field of each CloudWatch operation.
func Ledger() *fidelity.Ledger { return fidelity.MustParse("cloudwatch", ledgerText) }

// Inputs are the input structs of all CloudWatch operations, by name.
func Inputs() map[string]reflect.Type { return fidelity.Inputs((*cw.Client)(nil)) }

// Check refuses a request that sets a field which the ledger refuses. Package
// wire calls it before each operation.
func (s *Service) Check(_ context.Context, operation string, in any) error {
	for _, r := range s.ledger.Refusals(operation, in) {
		return invalid("%s is not supported: %s.", r.Path, r.Reason)
	}
	return nil
}

func invalid(format string, a ...any) error {
	return &types.InvalidParameterValueException{Message: aws.String(fmt.Sprintf(format, a...))}
}

func missing(name string) error {
	return &types.MissingRequiredParameterException{Message: aws.String("The parameter " + name + " is required.")}
}

func combination(format string, a ...any) error {
	return &types.InvalidParameterCombinationException{Message: aws.String(fmt.Sprintf(format, a...))}
}

// checkName checks a namespace's or metric's name: "MetricDatum" and "PutMetricData" in the
// API reference.
func checkName(what string, name *string, max int) error {
	switch {
	case aws.ToString(name) == "":
		return missing(what)
	case len(*name) > max:
		return invalid("The value for parameter %s must have a length less than or equal to %d.", what, max)
	}
	return nil
}

// maxDimensions of a metric.
const maxDimensions = 30

// dimensions checks and sorts the dimensions of a metric.
func dimensions(in []types.Dimension, where string) ([]metricstore.Dimension, error) {
	if len(in) > maxDimensions {
		return nil, invalid("The collection %sDimensions must not have a size greater than %d.", where, maxDimensions)
	}
	out := []metricstore.Dimension{}
	for i, d := range in {
		at := fmt.Sprintf("%sDimensions.member.%d.", where, i+1)
		if err := checkName(at+"Name", d.Name, 255); err != nil {
			return nil, err
		}
		if err := checkName(at+"Value", d.Value, 1024); err != nil {
			return nil, err
		}
		out = append(out, metricstore.Dimension{Name: *d.Name, Value: *d.Value})
	}
	slices.SortFunc(out, func(a, b metricstore.Dimension) int { return strings.Compare(a.Name, b.Name) })
	for i := range out {
		if i > 0 && out[i].Name == out[i-1].Name {
			return nil, invalid("No dimension may be specified more than once: %s", out[i].Name)
		}
	}
	return out, nil
}

func unit(u types.StandardUnit) (string, error) {
	if u == "" {
		return string(types.StandardUnitNone), nil
	}
	if !slices.Contains(u.Values(), u) {
		return "", invalid("The value %s for parameter Unit is invalid.", u)
	}
	return string(u), nil
}

// metric is a series without its unit.
func metric(ctx context.Context, namespace, name *string, in []types.Dimension, where string) (metricstore.Series, error) {
	c := wire.CallerFrom(ctx)
	x := metricstore.Series{Account: c.Account, Region: c.Region}
	if err := checkName(where+"Namespace", namespace, 255); err != nil {
		return x, err
	}
	if err := checkName(where+"MetricName", name, 255); err != nil {
		return x, err
	}
	x.Namespace, x.Metric = *namespace, *name
	var err error
	x.Dimensions, err = dimensions(in, where)
	return x, err
}

// ListMetrics lists the metrics that have data of the last two weeks.
func (s *Service) ListMetrics(ctx context.Context, in *cw.ListMetricsInput) (*cw.ListMetricsOutput, error) {
	const page = 500
	if in.RecentlyActive != "" && in.RecentlyActive != types.RecentlyActivePt3h {
		return nil, invalid("The value %s for parameter RecentlyActive is invalid.", in.RecentlyActive)
	}
	c := wire.CallerFrom(ctx)
	after, err := openToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	since := s.now().Add(-14 * 24 * time.Hour)
	if in.RecentlyActive != "" {
		since = s.now().Add(-3 * time.Hour)
	}
	var all []types.Metric
	before := "" // metrics of several units are one, and follow each other
	out := &cw.ListMetricsOutput{Metrics: []types.Metric{}}
	err = s.store.List(c.Account, c.Region, func(x metricstore.Series, last time.Time) error {
		name := fmt.Sprintf("%q %q %q", x.Namespace, x.Metric, x.Dimensions)
		if in.Namespace != nil && x.Namespace != *in.Namespace || in.MetricName != nil && x.Metric != *in.MetricName ||
			last.Before(since) || !hasDimensions(x.Dimensions, in.Dimensions) || name == before {
			return nil
		}
		before = name
		m := types.Metric{Namespace: &x.Namespace, MetricName: &x.Metric, Dimensions: []types.Dimension{}}
		for _, d := range x.Dimensions {
			m.Dimensions = append(m.Dimensions, types.Dimension{Name: &d.Name, Value: &d.Value})
		}
		all = append(all, m)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if after > len(all) {
		return nil, badToken()
	}
	out.Metrics = append(out.Metrics, all[after:min(after+page, len(all))]...)
	if after+page < len(all) {
		out.NextToken = sealToken(after + page)
	}
	return out, nil
}

func hasDimensions(have []metricstore.Dimension, want []types.DimensionFilter) bool {
	for _, f := range want {
		if !slices.ContainsFunc(have, func(d metricstore.Dimension) bool {
			return d.Name == aws.ToString(f.Name) && (f.Value == nil || d.Value == *f.Value)
		}) {
			return false
		}
	}
	return true
}
