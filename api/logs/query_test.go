package logs_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/berth/berth/api/logs"
	"github.com/berth/berth/logstore"
	"github.com/berth/berth/wire"
	"github.com/berth/berth/wire/wiretest"
)

// fill makes groups with a stream each and events of JSON, a second apart.
func fill(t *testing.T, store *logstore.Store, groups []string, n int, from time.Time) {
	t.Helper()
	scope := logstore.Scope{Account: wiretest.Account, Region: wiretest.Region}
	for i, g := range groups {
		if err := errors.Join(store.CreateGroup(scope, logstore.Group{Name: g, Class: "STANDARD"}), store.CreateStream(scope, g, "s/"+g)); err != nil {
			t.Fatal(err)
		}
		var events []logstore.Event
		for k := range n {
			at := from.Add(time.Duration(k)*time.Second + time.Duration(i)*time.Millisecond)
			events = append(events, logstore.Event{Time: at.UnixMilli(), Message: fmt.Sprintf(`{"n": %d, "level": "%s", "req": {"path": "/%s"}}`, k, []string{"INFO", "ERROR"}[k%2], g)})
		}
		if _, err := store.Put(scope, g, "s/"+g, events, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// results waits for a query's end, as all clients do: by asking.
func results(t *testing.T, client *cwl.Client, id *string) *cwl.GetQueryResultsOutput {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		out := ok[*cwl.GetQueryResultsOutput](t)(client.GetQueryResults(t.Context(), &cwl.GetQueryResultsInput{QueryId: id}))
		if out.Status != types.QueryStatusScheduled && out.Status != types.QueryStatusRunning {
			return out
		}
	}
	t.Fatalf("query %s does not end", *id)
	return nil
}

func TestQuery(t *testing.T) {
	from := time.Unix(1_800_000_000, 0)
	client, _, store := serve(t, func() time.Time { return from.Add(time.Hour) })
	ctx := t.Context()
	fill(t, store, []string{"a", "b"}, 600, from)
	start := func(text string, change func(*cwl.StartQueryInput)) (*cwl.StartQueryOutput, error) {
		in := &cwl.StartQueryInput{LogGroupNames: []string{"a", "b"}, QueryString: &text, StartTime: aws.Int64(from.Unix()), EndTime: aws.Int64(from.Unix() + 599)}
		if change != nil {
			change(in)
		}
		return client.StartQuery(ctx, in)
	}
	q := ok[*cwl.StartQueryOutput](t)(start("filter level = 'ERROR' | stats count(*) as n, max(n) as newest by req.path, bin(5m) as t | sort t, req.path", nil))
	got := results(t, client, q.QueryId)
	var rows []string
	for _, r := range got.Results {
		s := ""
		for _, f := range r {
			s += *f.Field + "=" + *f.Value + " "
		}
		rows = append(rows, s)
	}
	want := []string{"req.path=/a t=2027-01-15 08:00:00.000 n=150 newest=299 ", "req.path=/b t=2027-01-15 08:00:00.000 n=150 newest=299 ",
		"req.path=/a t=2027-01-15 08:05:00.000 n=150 newest=599 ", "req.path=/b t=2027-01-15 08:05:00.000 n=150 newest=599 "}
	if got.Status != types.QueryStatusComplete || strings.Join(rows, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s: %s", got.Status, strings.Join(rows, "\n"))
	}
	if s := got.Statistics; s.RecordsScanned != 1200 || s.RecordsMatched != 600 || s.BytesScanned < 1200*40 || s.LogGroupsScanned != 2 {
		t.Errorf("statistics %+v", s)
	}

	// The newest first, merged; each has a pointer to the whole.
	q = ok[*cwl.StartQueryOutput](t)(start("fields @timestamp, @log", func(in *cwl.StartQueryInput) {
		in.Limit = aws.Int32(3)
		in.LogGroupNames = nil
		in.LogGroupIdentifiers = []string{"arn:aws:logs:eu-central-1:123456789012:log-group:a", "b"}
	}))
	got = results(t, client, q.QueryId)
	if len(got.Results) != 3 || *got.Results[0][0].Value != "2027-01-15 08:09:59.001" || *got.Results[1][1].Value != "123456789012:a" || got.Statistics.RecordsMatched != 1200 {
		t.Fatalf("%d rows, %+v", len(got.Results), got.Statistics)
	}
	ptr := got.Results[2][2]
	if *ptr.Field != "@ptr" {
		t.Fatalf("the last field is %s", *ptr.Field)
	}
	record := ok[*cwl.GetLogRecordOutput](t)(client.GetLogRecord(ctx, &cwl.GetLogRecordInput{LogRecordPointer: ptr.Value})).LogRecord
	if record["@message"] != `{"n": 598, "level": "INFO", "req": {"path": "/b"}}` || record["req.path"] != "/b" || record["@logStream"] != "s/b" || record["@log"] != "123456789012:b" || record["@timestamp"] != "1800000598001" {
		t.Errorf("record %v", record)
	}

	// Pages.
	q = ok[*cwl.StartQueryOutput](t)(start("display n", nil))
	results(t, client, q.QueryId)
	seen := 0
	for in := (&cwl.GetQueryResultsInput{QueryId: q.QueryId, MaxItems: aws.Int32(500)}); ; {
		page := ok[*cwl.GetQueryResultsOutput](t)(client.GetQueryResults(ctx, in))
		seen += len(page.Results)
		if in.NextToken = page.NextToken; in.NextToken == nil {
			break
		}
	}
	if seen != 1200 {
		t.Errorf("%d rows in pages", seen)
	}

	listed := ok[*cwl.DescribeQueriesOutput](t)(client.DescribeQueries(ctx, &cwl.DescribeQueriesInput{LogGroupName: aws.String("b"), Status: types.QueryStatusComplete}))
	if len(listed.Queries) != 3 || *listed.Queries[0].BytesScanned == 0 || listed.Queries[0].QueryDuration == nil {
		t.Errorf("%d queries are listed: %+v", len(listed.Queries), listed.Queries)
	}
	fields := ok[*cwl.GetLogGroupFieldsOutput](t)(client.GetLogGroupFields(ctx, &cwl.GetLogGroupFieldsInput{LogGroupName: aws.String("a"), Time: aws.Int64(from.Unix())}))
	names := map[string]int32{}
	for _, f := range fields.LogGroupFields {
		names[*f.Name] = f.Percent
	}
	if names["req.path"] != 100 || names["@message"] != 100 || len(names) != 9 {
		t.Errorf("fields %v", names)
	}

	var bad *types.MalformedQueryException
	if _, err := start("fields a | filter = 5", nil); !errors.As(err, &bad) || *bad.QueryCompileError.Location.StartCharOffset != 18 || *bad.QueryCompileError.Location.EndCharOffset != 19 {
		t.Errorf("malformed: %v", err)
	}
	for _, c := range []struct {
		what string
		err  error
		want string
	}{
		{"syntax", second(start("stats", nil)), "MalformedQueryException: unexpected symbol found <EOF> at line 1 and position 5"},
		{"range", second(start("limit 1", func(in *cwl.StartQueryInput) { in.EndTime = aws.Int64(1) })), "MalformedQueryException: End time should not be before start time"},
		{"no group", second(start("limit 1", func(in *cwl.StartQueryInput) { in.LogGroupNames = []string{"x"} })), "ResourceNotFoundException: Log group 'x' does not exist for account ID '123456789012'"},
		{"two kinds", second(start("limit 1", func(in *cwl.StartQueryInput) { in.LogGroupName = aws.String("a") })), "InvalidParameterException: Exactly one of"},
		{"SQL", second(start("SELECT 1", func(in *cwl.StartQueryInput) { in.QueryLanguage = types.QueryLanguageSql })), "InvalidParameterException: queryLanguage SQL is not supported"},
		{"no query", second(client.GetQueryResults(ctx, &cwl.GetQueryResultsInput{QueryId: aws.String("x")})), "ResourceNotFoundException: The specified query does not exist."},
		{"ended", second(client.StopQuery(ctx, &cwl.StopQueryInput{QueryId: q.QueryId})), "InvalidParameterException: Query has already ended"},
		{"pointer", second(client.GetLogRecord(ctx, &cwl.GetLogRecordInput{LogRecordPointer: aws.String("x")})), "InvalidParameterException: The specified logRecordPointer is invalid."},
		{"token", second(client.GetQueryResults(ctx, &cwl.GetQueryResultsInput{QueryId: q.QueryId, NextToken: aws.String("x")})), "InvalidParameterException: The specified nextToken is invalid."},
	} {
		if got := problem(c.err); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s\nwant %s", c.what, got, c.want)
		}
	}
}

// A query is known, with its results, to the process that comes after one that
// ended before it did.
func TestQueriesOutliveTheProcess(t *testing.T) {
	from := time.Unix(1_800_000_000, 0)
	client, _, store := serve(t, func() time.Time { return from })
	fill(t, store, []string{"a"}, 10, from)
	q := ok[*cwl.StartQueryOutput](t)(client.StartQuery(t.Context(), &cwl.StartQueryInput{LogGroupName: aws.String("a"), QueryString: aws.String("stats sum(n) as s"), StartTime: aws.Int64(0), EndTime: aws.Int64(from.Unix() + 9)}))
	// Another service over the same store is what a next process is.
	next := logs.New(store, time.Now, slog.New(slog.NewTextHandler(io.Discard, nil)))
	defer next.Close()
	service, err := wire.NewService(wire.Logs, next)
	if err != nil {
		t.Fatal(err)
	}
	_, cfg := wiretest.Serve(t, service)
	cfg.HTTPClient = near{awshttp.NewBuildableClient()}
	got := results(t, cwl.NewFromConfig(cfg), q.QueryId)
	if got.Status != types.QueryStatusComplete || *got.Results[0][0].Value != "45" {
		t.Errorf("%s: %v", got.Status, got.Results)
	}
	listed := ok[*cwl.DescribeQueriesOutput](t)(cwl.NewFromConfig(cfg).DescribeQueries(t.Context(), &cwl.DescribeQueriesInput{}))
	if len(listed.Queries) != 1 || *listed.Queries[0].QueryId != *q.QueryId {
		t.Errorf("queries %+v", listed.Queries)
	}
}

func TestStopQuery(t *testing.T) {
	from := time.Unix(1_800_000_000, 0)
	client, _, store := serve(t, func() time.Time { return from })
	fill(t, store, []string{"a"}, 20_000, from)
	ctx := t.Context()
	// The first ones keep the last from running.
	var last *string
	for range 6 {
		last = ok[*cwl.StartQueryOutput](t)(client.StartQuery(ctx, &cwl.StartQueryInput{LogGroupName: aws.String("a"), QueryString: aws.String("parse @message /(?<a>.*)(?<b>[0-9]+)(?<c>.*)/ | stats count(*) by a, b, c"), StartTime: aws.Int64(0), EndTime: aws.Int64(from.Unix() * 2)})).QueryId
	}
	if out := ok[*cwl.StopQueryOutput](t)(client.StopQuery(ctx, &cwl.StopQueryInput{QueryId: last})); !out.Success {
		t.Error("it was not stopped")
	}
	if got := results(t, client, last); got.Status != types.QueryStatusCancelled || len(got.Results) != 0 {
		t.Errorf("%s with %d rows", got.Status, len(got.Results))
	}
}

func TestQueryDefinitions(t *testing.T) {
	client, _, _ := serve(t, time.Now)
	ctx := t.Context()
	put := func(name, text string, id, token *string) *string {
		t.Helper()
		return ok[*cwl.PutQueryDefinitionOutput](t)(client.PutQueryDefinition(ctx, &cwl.PutQueryDefinitionInput{Name: &name, QueryString: &text, QueryDefinitionId: id, ClientToken: token, LogGroupNames: []string{"g"}})).QueryDefinitionId
	}
	a, b := put("a/1", "limit 1", nil, aws.String("t1")), put("a/2", "limit 2", nil, nil)
	put("b", "limit 3", nil, nil)
	if again := put("a/1", "limit 1", nil, aws.String("t1")); *again != *a {
		t.Errorf("the same token makes %s and %s", *a, *again)
	}
	put("a/3", "limit 4", b, nil)
	got := ok[*cwl.DescribeQueryDefinitionsOutput](t)(client.DescribeQueryDefinitions(ctx, &cwl.DescribeQueryDefinitionsInput{QueryDefinitionNamePrefix: aws.String("a/"), MaxResults: aws.Int32(1)}))
	rest := ok[*cwl.DescribeQueryDefinitionsOutput](t)(client.DescribeQueryDefinitions(ctx, &cwl.DescribeQueryDefinitionsInput{QueryDefinitionNamePrefix: aws.String("a/"), NextToken: got.NextToken}))
	if len(got.QueryDefinitions) != 1 || *got.QueryDefinitions[0].Name != "a/1" || len(rest.QueryDefinitions) != 1 || *rest.QueryDefinitions[0].QueryString != "limit 4" || rest.NextToken != nil {
		t.Errorf("%+v, then %+v", got.QueryDefinitions, rest.QueryDefinitions)
	}
	if out := ok[*cwl.DeleteQueryDefinitionOutput](t)(client.DeleteQueryDefinition(ctx, &cwl.DeleteQueryDefinitionInput{QueryDefinitionId: a})); !out.Success {
		t.Error("it was not deleted")
	}
	if got := problem(second(client.DeleteQueryDefinition(ctx, &cwl.DeleteQueryDefinitionInput{QueryDefinitionId: a}))); !strings.HasPrefix(got, "ResourceNotFoundException: ") {
		t.Errorf("deleted twice: %s", got)
	}
}
