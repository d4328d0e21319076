package cloudwatch

import (
	"errors"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/smithy-go"

	"github.com/berth/berth/metricstore"
	"github.com/berth/berth/wire"
	"github.com/berth/berth/wire/wiretest"
)

// Every operation and every field has its decision, and the methods are those
// that the ledger says are there.
func TestLedgerIsComplete(t *testing.T) {
	for _, problem := range append(Ledger().Audit(Inputs()), Ledger().AuditMethods(Inputs(), (*Service)(nil))...) {
		t.Error(problem)
	}
}

// at is the time of the tests.
var at = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func service(t *testing.T) *wire.Service {
	t.Helper()
	now := func() time.Time { return at }
	store, err := metricstore.Open(t.TempDir(), now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := wire.NewService(wire.CloudWatch, New(store, now))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func want(t *testing.T, what string, err error, code string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

func datum(name string, minute int, value float64) types.MetricDatum {
	return types.MetricDatum{MetricName: &name, Value: &value, Timestamp: aws.Time(at.Add(time.Duration(minute)*time.Minute + time.Second)),
		Dimensions: []types.Dimension{{Name: aws.String("B"), Value: aws.String("2")}, {Name: aws.String("A"), Value: aws.String("1")}}}
}

func TestMetrics(t *testing.T) {
	_, cfg := wiretest.Serve(t, service(t))
	c := cw.NewFromConfig(cfg)
	ctx := t.Context()
	put := func(d ...types.MetricDatum) error {
		_, err := c.PutMetricData(ctx, &cw.PutMetricDataInput{Namespace: aws.String("app"), MetricData: d})
		return err
	}
	set := datum("load", -9, 0)
	set.Value, set.StatisticValues = nil, &types.StatisticSet{SampleCount: aws.Float64(3), Sum: aws.Float64(30), Minimum: aws.Float64(-5), Maximum: aws.Float64(20)}
	many := datum("load", -4, 0)
	many.Value, many.Values, many.Counts = nil, []float64{1, 4}, []float64{2, 1}
	if err := put(datum("load", -10, 4), datum("load", -10, 8), set, many, datum("other", -1, 1)); err != nil {
		t.Fatal(err)
	}
	dims := []types.Dimension{{Name: aws.String("A"), Value: aws.String("1")}, {Name: aws.String("B"), Value: aws.String("2")}}
	in := &cw.GetMetricStatisticsInput{Namespace: aws.String("app"), MetricName: aws.String("load"), Dimensions: dims, StartTime: aws.Time(at.Add(-10 * time.Minute)), EndTime: &at,
		Period: aws.Int32(300), Statistics: []types.Statistic{"Sum", "Average", "Minimum", "Maximum", "SampleCount"}}
	out, err := c.GetMetricStatistics(ctx, in)
	if err != nil || len(out.Datapoints) != 2 {
		t.Fatalf("statistics: %+v, %v", out, err)
	}
	first, second := out.Datapoints[0], out.Datapoints[1]
	if *first.Sum != 42 || *first.SampleCount != 5 || *first.Average != 8.4 || *first.Minimum != -5 || *first.Maximum != 20 || !first.Timestamp.Equal(at.Add(-10*time.Minute)) || first.Unit != "None" {
		t.Errorf("the first: sum %v of %v, %v to %v at %v", *first.Sum, *first.SampleCount, *first.Minimum, *first.Maximum, first.Timestamp)
	}
	if *second.Sum != 6 || *second.SampleCount != 3 || *second.Maximum != 4 {
		t.Errorf("the second: sum %v of %v", *second.Sum, *second.SampleCount)
	}
	data, err := c.GetMetricData(ctx, &cw.GetMetricDataInput{StartTime: aws.Time(at.Add(-time.Hour)), EndTime: &at, MetricDataQueries: []types.MetricDataQuery{{Id: aws.String("q1"),
		MetricStat: &types.MetricStat{Metric: &types.Metric{Namespace: aws.String("app"), MetricName: aws.String("load"), Dimensions: dims}, Period: aws.Int32(60), Stat: aws.String("Sum")}}}})
	if err != nil || len(data.MetricDataResults) != 1 || len(data.MetricDataResults[0].Values) != 3 || data.MetricDataResults[0].Values[2] != 12 {
		t.Errorf("data: %+v, %v", data, err)
	}
	list, err := c.ListMetrics(ctx, &cw.ListMetricsInput{Namespace: aws.String("app"), Dimensions: []types.DimensionFilter{{Name: aws.String("A")}}})
	if err != nil || len(list.Metrics) != 2 || *list.Metrics[0].MetricName != "load" || *list.Metrics[0].Dimensions[0].Name != "A" {
		t.Errorf("list: %+v, %v", list, err)
	}
	if list, err := c.ListMetrics(ctx, &cw.ListMetricsInput{Dimensions: []types.DimensionFilter{{Name: aws.String("A"), Value: aws.String("9")}}}); err != nil || len(list.Metrics) != 0 {
		t.Errorf("list of none: %+v, %v", list, err)
	}

	late := datum("load", 121, 1)
	both := datum("load", 0, 1)
	both.Values = []float64{1}
	none := datum("load", 0, 1)
	none.Value = nil
	want(t, "the future", put(late), "InvalidParameterValue")
	want(t, "the past", put(datum("load", -15*24*60, 1)), "InvalidParameterValue")
	want(t, "two kinds of value", put(both), "InvalidParameterCombination")
	want(t, "no value", put(none), "MissingParameter")
	want(t, "no number", put(datum("load", 0, math.NaN())), "InvalidParameterValue")
	in.Period = aws.Int32(61)
	_, err = c.GetMetricStatistics(ctx, in)
	want(t, "a period", err, "InvalidParameterValue")
	in.Period, in.StartTime = aws.Int32(60), aws.Time(at.Add(-48*time.Hour))
	_, err = c.GetMetricStatistics(ctx, in)
	want(t, "too many datapoints", err, "InvalidParameterCombination")
	_, err = c.PutMetricData(ctx, &cw.PutMetricDataInput{Namespace: aws.String("AWS/EC2"), MetricData: []types.MetricDatum{datum("x", 0, 1)}})
	want(t, "AWS's namespace", err, "InvalidParameterValue")
	_, err = c.DescribeAlarms(ctx, &cw.DescribeAlarmsInput{})
	want(t, "not built", err, "NotImplemented")
}

// Older clients send the same in forms, and are answered in XML.
func TestQuery(t *testing.T) {
	s := service(t)
	base := wiretest.ServeAny(t, s)
	post := func(form string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), "POST", base, strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "monitoring.eu-central-1.amazonaws.com"
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	stamp := url.QueryEscape(at.Add(-time.Minute).Format(time.RFC3339))
	if code, body := post("Action=PutMetricData&Version=2010-08-01&Namespace=n&MetricData.member.1.MetricName=m&MetricData.member.1.Value=2.5&MetricData.member.1.Timestamp=" + stamp); code != 200 {
		t.Fatalf("put: %d %s", code, body)
	}
	code, body := post("Action=GetMetricStatistics&Version=2010-08-01&Namespace=n&MetricName=m&Period=60&Statistics.member.1=Sum&StartTime=" + url.QueryEscape(at.Add(-time.Hour).Format(time.RFC3339)) + "&EndTime=" + url.QueryEscape(at.Format(time.RFC3339)))
	if code != 200 || !strings.Contains(body, "<Datapoints><member>") || !strings.Contains(body, "<Sum>2.5</Sum>") {
		t.Errorf("get: %d %s", code, body)
	}
	if code, body := post("Action=PutMetricData&Version=2010-08-01&Namespace=AWS/x&MetricData.member.1.MetricName=m&MetricData.member.1.Value=1"); code != 400 || !strings.Contains(body, "<Code>InvalidParameterValue</Code>") {
		t.Errorf("an error: %d %s", code, body)
	}
}

func TestCorpus(t *testing.T) { wiretest.Corpus(t, service(t), "cloudwatch") }
