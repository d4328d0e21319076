package cloudwatch

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/berth/berth/metricstore"
)

// Limits of "GetMetricStatistics" and "GetMetricData" in the API reference.
const (
	maxStatistics = 1440
	maxQueries    = 500
	maxDatapoints = 100800
)

func badToken() error {
	return &types.InvalidNextToken{Message: aws.String("Invalid nextToken")}
}

// A token of ListMetrics is the position in a list that is sorted.
func sealToken(n int) *string { return aws.String("at-" + strconv.Itoa(n)) }

func openToken(token *string) (int, error) {
	if token == nil {
		return 0, nil
	}
	var n int
	if _, err := fmt.Sscanf(*token, "at-%d", &n); err != nil || n < 0 || *sealToken(n) != *token {
		return 0, badToken()
	}
	return n, nil
}

// period checks the length of a datapoint, in seconds.
func period(p *int32) (time.Duration, error) {
	if p == nil {
		return 0, missing("Period")
	}
	if *p < 60 || *p%60 != 0 || *p > 86400 {
		return 0, invalid("The parameter Period must be a multiple of 60, at most 86400: data is kept by the minute.")
	}
	return time.Duration(*p) * time.Second, nil
}

// group puts points together to datapoints of a period, which begin at start.
func group(points []metricstore.Point, start time.Time, period time.Duration) []metricstore.Point {
	var all []metricstore.Point
	for _, p := range points {
		at := start.Add(p.Time.Sub(start) / period * period)
		if n := len(all); n == 0 || !all[n-1].Time.Equal(at) {
			all = append(all, metricstore.Point{Time: at})
		}
		last := &all[len(all)-1]
		*last = last.Add(p)
	}
	return all
}

// statistic is one number of a datapoint.
func statistic(p metricstore.Point, name types.Statistic) float64 {
	switch name {
	case types.StatisticSum:
		return p.Sum
	case types.StatisticMinimum:
		return p.Min
	case types.StatisticMaximum:
		return p.Max
	case types.StatisticSampleCount:
		return p.Count
	}
	return p.Sum / p.Count
}

// units are those of a query: the one it names, or all.
func units(u types.StandardUnit) ([]types.StandardUnit, error) {
	if u == "" {
		return u.Values(), nil
	}
	if _, err := unit(u); err != nil {
		return nil, err
	}
	return []types.StandardUnit{u}, nil
}

// GetMetricStatistics returns datapoints of a metric, for each unit its own.
func (s *Service) GetMetricStatistics(ctx context.Context, in *cw.GetMetricStatisticsInput) (*cw.GetMetricStatisticsOutput, error) {
	x, err := metric(ctx, in.Namespace, in.MetricName, in.Dimensions, "")
	if err != nil {
		return nil, err
	}
	length, err := period(in.Period)
	if err != nil {
		return nil, err
	}
	switch {
	case in.StartTime == nil:
		return nil, missing("StartTime")
	case in.EndTime == nil:
		return nil, missing("EndTime")
	case !in.StartTime.Before(*in.EndTime):
		return nil, invalid("The parameter StartTime must be less than the parameter EndTime.")
	case len(in.Statistics) == 0:
		return nil, missing("Statistics")
	}
	for _, st := range in.Statistics {
		if !slices.Contains(st.Values(), st) {
			return nil, invalid("The value %s for parameter Statistics is invalid.", st)
		}
	}
	if n := in.EndTime.Sub(*in.StartTime) / length; n > maxStatistics {
		return nil, combination("You have requested up to %d datapoints, which exceeds the limit of %d. You may reduce the datapoints requested by increasing Period, or decreasing the time range.", n, maxStatistics)
	}
	all, err := units(in.Unit)
	if err != nil {
		return nil, err
	}
	start := in.StartTime.UTC().Truncate(time.Minute)
	out := &cw.GetMetricStatisticsOutput{Label: in.MetricName, Datapoints: []types.Datapoint{}}
	for _, u := range all {
		x.Unit = string(u)
		points, err := s.store.Read(x, start, *in.EndTime)
		if err != nil {
			return nil, err
		}
		for _, p := range group(points, start, length) {
			d := types.Datapoint{Timestamp: &p.Time, Unit: u}
			for _, st := range in.Statistics {
				v := statistic(p, st)
				switch st {
				case types.StatisticSum:
					d.Sum = &v
				case types.StatisticMinimum:
					d.Minimum = &v
				case types.StatisticMaximum:
					d.Maximum = &v
				case types.StatisticSampleCount:
					d.SampleCount = &v
				case types.StatisticAverage:
					d.Average = &v
				}
			}
			out.Datapoints = append(out.Datapoints, d)
		}
	}
	return out, nil
}

// queryID is the form of a query's ID.
var queryID = regexp.MustCompile(`^[a-z][a-zA-Z0-9_]{0,254}$`)

// GetMetricData returns the data of several metrics, newest first unless asked otherwise.
func (s *Service) GetMetricData(ctx context.Context, in *cw.GetMetricDataInput) (*cw.GetMetricDataOutput, error) {
	switch {
	case in.StartTime == nil:
		return nil, missing("StartTime")
	case in.EndTime == nil:
		return nil, missing("EndTime")
	case !in.StartTime.Before(*in.EndTime):
		return nil, &types.InvalidParameterValueException{Message: aws.String("The parameter StartTime must be less than the parameter EndTime.")}
	case len(in.MetricDataQueries) == 0:
		return nil, missing("MetricDataQueries")
	case len(in.MetricDataQueries) > maxQueries:
		return nil, invalid("The collection MetricDataQueries must not have a size greater than %d.", maxQueries)
	case in.NextToken != nil:
		return nil, badToken() // every answer is whole
	case in.ScanBy != "" && !slices.Contains(in.ScanBy.Values(), in.ScanBy):
		return nil, invalid("The value %s for parameter ScanBy is invalid.", in.ScanBy)
	}
	out := &cw.GetMetricDataOutput{MetricDataResults: []types.MetricDataResult{}, Messages: []types.MessageData{}}
	seen := map[string]bool{}
	total := 0
	for i, q := range in.MetricDataQueries {
		where := fmt.Sprintf("MetricDataQueries.member.%d.", i+1)
		id := aws.ToString(q.Id)
		switch {
		case id == "":
			return nil, missing(where + "Id")
		case !queryID.MatchString(id):
			return nil, invalid("The value for parameter %sId is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$.", where)
		case seen[id]:
			return nil, invalid("The values for parameter id in MetricDataQueries are not unique.")
		case q.MetricStat == nil || q.MetricStat.Metric == nil:
			return nil, missing(where + "MetricStat.Metric")
		}
		seen[id] = true
		points, err := s.query(ctx, q.MetricStat, *in.StartTime, *in.EndTime, where)
		if err != nil {
			return nil, err
		}
		if total += len(points); total > maxDatapoints {
			return nil, invalid("The request has more than %d datapoints: ask for less time, or longer periods.", maxDatapoints)
		}
		if q.ReturnData != nil && !*q.ReturnData {
			continue
		}
		if in.ScanBy != types.ScanByTimestampAscending {
			slices.Reverse(points)
		}
		r := types.MetricDataResult{Id: q.Id, Label: q.Label, StatusCode: types.StatusCodeComplete, Timestamps: []time.Time{}, Values: []float64{}}
		if r.Label == nil {
			r.Label = q.MetricStat.Metric.MetricName
		}
		for _, p := range points {
			r.Timestamps = append(r.Timestamps, p.Time)
			r.Values = append(r.Values, statistic(p, types.Statistic(*q.MetricStat.Stat)))
		}
		out.MetricDataResults = append(out.MetricDataResults, r)
	}
	return out, nil
}

// query returns the datapoints of one metric, by time. Without a unit those of all units
// are together.
func (s *Service) query(ctx context.Context, q *types.MetricStat, from, to time.Time, where string) ([]metricstore.Point, error) {
	m := q.Metric
	x, err := metric(ctx, m.Namespace, m.MetricName, m.Dimensions, where+"MetricStat.Metric.")
	if err != nil {
		return nil, err
	}
	length, err := period(q.Period)
	if err != nil {
		return nil, err
	}
	st := types.Statistic(aws.ToString(q.Stat))
	if st == "" {
		return nil, missing(where + "MetricStat.Stat")
	}
	if !slices.Contains(st.Values(), st) {
		return nil, invalid("The value %s for parameter %sMetricStat.Stat is not supported: percentiles and other distributions are not built yet.", st, where)
	}
	all, err := units(q.Unit)
	if err != nil {
		return nil, err
	}
	start := from.UTC().Truncate(length)
	var points []metricstore.Point
	for _, u := range all {
		x.Unit = string(u)
		p, err := s.store.Read(x, start, to)
		if err != nil {
			return nil, err
		}
		points = append(points, p...)
	}
	slices.SortStableFunc(points, func(a, b metricstore.Point) int { return a.Time.Compare(b.Time) })
	return group(points, start, length), nil
}
