package cloudwatch

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/berth/berth/metricstore"
)

// Limits of "PutMetricData" in the API reference.
const (
	maxData   = 1000
	maxValues = 150
	oldest    = 14 * 24 * time.Hour
	newest    = 2 * time.Hour
)

// PutMetricData adds data to metrics: all of a request's, or none.
func (s *Service) PutMetricData(ctx context.Context, in *cw.PutMetricDataInput) (*cw.PutMetricDataOutput, error) {
	if strings.HasPrefix(aws.ToString(in.Namespace), "AWS/") {
		return nil, invalid("The value AWS/ for parameter Namespace is invalid.")
	}
	if len(in.MetricData) == 0 {
		return nil, missing("MetricData")
	}
	if len(in.MetricData) > maxData {
		return nil, invalid("The collection MetricData must not have a size greater than %d.", maxData)
	}
	now := s.now()
	var samples []metricstore.Sample
	for i, d := range in.MetricData {
		where := fmt.Sprintf("MetricData.member.%d.", i+1)
		x, err := metric(ctx, in.Namespace, d.MetricName, d.Dimensions, where)
		if err != nil {
			return nil, err
		}
		if x.Unit, err = unit(d.Unit); err != nil {
			return nil, err
		}
		if r := d.StorageResolution; r != nil && *r != 1 && *r != 60 {
			return nil, invalid("The value %d for parameter %sStorageResolution is invalid.", *r, where)
		}
		at := now
		if d.Timestamp != nil {
			at = *d.Timestamp
		}
		if at.Before(now.Add(-oldest)) || at.After(now.Add(newest)) {
			return nil, invalid("The parameter %sTimestamp must specify a time within the past two weeks and no more than two hours in the future.", where)
		}
		points, err := values(d, where)
		if err != nil {
			return nil, err
		}
		for _, p := range points {
			p.Time = at
			samples = append(samples, metricstore.Sample{Series: x, Point: p})
		}
	}
	return nil, s.store.Put(samples)
}

// values are the samples of a datum, which gives them in one of three ways.
func values(d types.MetricDatum, where string) ([]metricstore.Point, error) {
	given := 0
	for _, is := range []bool{d.Value != nil, d.StatisticValues != nil, d.Values != nil} {
		if is {
			given++
		}
	}
	if given == 0 {
		return nil, missing(where + "Value or " + where + "StatisticValues or " + where + "Values")
	}
	if given > 1 {
		return nil, combination("The parameters %[1]sValue, %[1]sValues and %[1]sStatisticValues are mutually exclusive and you have specified more than one.", where)
	}
	switch {
	case d.Value != nil:
		return []metricstore.Point{{Count: 1, Sum: *d.Value, Min: *d.Value, Max: *d.Value}}, checkNumbers(where, *d.Value)
	case d.StatisticValues != nil:
		v := d.StatisticValues
		for name, f := range map[string]*float64{"SampleCount": v.SampleCount, "Sum": v.Sum, "Minimum": v.Minimum, "Maximum": v.Maximum} {
			if f == nil {
				return nil, missing(where + "StatisticValues." + name)
			}
		}
		if *v.SampleCount <= 0 || *v.Minimum > *v.Maximum {
			return nil, invalid("The parameter %sStatisticValues is invalid: SampleCount must be greater than 0, and Minimum not greater than Maximum.", where)
		}
		return []metricstore.Point{{Count: *v.SampleCount, Sum: *v.Sum, Min: *v.Minimum, Max: *v.Maximum}}, checkNumbers(where, *v.SampleCount, *v.Sum, *v.Minimum, *v.Maximum)
	}
	if len(d.Values) == 0 || len(d.Values) > maxValues {
		return nil, invalid("The collection %sValues must have a size from 1 to %d.", where, maxValues)
	}
	if d.Counts != nil && len(d.Counts) != len(d.Values) {
		return nil, combination("The collections %[1]sValues and %[1]sCounts must have the same size.", where)
	}
	var p metricstore.Point
	for i, v := range d.Values {
		n := 1.0
		if d.Counts != nil {
			n = d.Counts[i]
		}
		if err := checkNumbers(where, v, n); err != nil {
			return nil, err
		}
		if n <= 0 {
			return nil, invalid("The collection %sCounts must have values greater than 0.", where)
		}
		p = p.Add(metricstore.Point{Count: n, Sum: n * v, Min: v, Max: v})
	}
	return []metricstore.Point{p}, nil
}

// checkNumbers refuses what is no number, or beyond 2 to the 360th.
func checkNumbers(where string, all ...float64) error {
	for _, f := range all {
		if math.IsNaN(f) || math.Abs(f) > math.Ldexp(1, 360) {
			return invalid("The value %v for parameter %sValue is invalid.", f, where)
		}
	}
	return nil
}
