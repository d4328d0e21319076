package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// logs: what a container prints, and then a million lines: put, on disk, and
// searched over all of their time and over a hundredth of it.
func (b *bench) logs() error {
	if err := b.ingest(); err != nil {
		return err
	}
	const n, batch = 1_000_000, 5000
	group, streams := aws.String("bench-million"), 10
	ctx, client := context.Background(), b.berth.logs
	if _, err := client.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: group}); err != nil {
		return err
	}
	for i := range streams {
		if _, err := client.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: group, LogStreamName: aws.String(fmt.Sprint(i))}); err != nil {
			return err
		}
	}
	from := time.Now().UnixMilli() - n // one a millisecond
	raw := make([]int, n/batch)
	puts, took, err := many(n/batch, 4, func(i int) error {
		events := make([]types.InputLogEvent, batch)
		for k := range events {
			m := line(i*batch + k)
			raw[i] += len(m)
			events[k] = types.InputLogEvent{Timestamp: aws.Int64(from + int64(i*batch+k)), Message: &m}
		}
		_, err := client.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: group, LogStreamName: aws.String(fmt.Sprint(i % streams)), LogEvents: events})
		return err
	})
	if err != nil {
		return err
	}
	bytes := 0
	for _, r := range raw {
		bytes += r
	}
	fmt.Printf("PutLogEvents    %6.0f lines a second, %d lines each  %v\n", n/took.Seconds(), batch, puts)
	tables, logs, err := b.berth.stored()
	if err != nil {
		return err
	}
	fmt.Printf("on disk         %6.1f bytes a line of %.0f, and %.0f MB of write-ahead logs\n", float64(tables)/n, float64(bytes)/n, float64(logs)/(1<<20))
	whole, err := b.berth.search(group, from, from+n)
	if err != nil {
		return err
	}
	part, err := b.berth.search(group, from+n/2, from+n/2+n/100)
	if err != nil {
		return err
	}
	fmt.Printf("filter all      %6d ms\n", whole.Milliseconds())
	fmt.Printf("filter 1%%       %6.1f ms, %.1f%% of it  target about 1%%\n", float64(part.Microseconds())/1000, 100*part.Seconds()/whole.Seconds())
	query, err := b.berth.query(group, from/1000, from/1000+n/1000, "filter status >= 202 | stats count(*), pct(ms, 99) by method")
	if err != nil {
		return err
	}
	fmt.Printf("Logs Insights   %6d ms for filter and stats over all\n", query.Milliseconds())
	return nil
}

// line is one like an application's, of 150 bytes or so.
func line(k int) string {
	return fmt.Sprintf(`{"level":"info","ts":"2026-11-23T10:%02d:%02d.%03dZ","msg":"request served","method":"GET","path":"/api/items/%d","status":%d,"ms":%d,"id":"%08x"}`,
		k/60000%60, k/1000%60, k%1000, k*7919%100000, 200+k%5, k%300, uint32(k)*2654435761)
}

// stored is how many bytes the log store's tables and its write-ahead logs have.
func (b *berth) stored() (tables, logs int64, err error) {
	files, err := os.ReadDir(filepath.Join(b.dir, "logs"))
	if err != nil {
		return 0, 0, err
	}
	for _, f := range files {
		i, err := f.Info()
		switch {
		case os.IsNotExist(err): // compacted meanwhile
		case err != nil:
			return 0, 0, err
		case filepath.Ext(f.Name()) == ".sst":
			tables += i.Size()
		case filepath.Ext(f.Name()) == ".log":
			logs += i.Size()
		}
	}
	return tables, logs, nil
}

// search filters the group for what it has not, to the last page.
func (b *berth) search(group *string, from, to int64) (time.Duration, error) {
	in := &cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, StartTime: &from, EndTime: &to, FilterPattern: aws.String(`"no such line"`)}
	began := time.Now()
	for pages := cloudwatchlogs.NewFilterLogEventsPaginator(b.logs, in); pages.HasMorePages(); {
		page, err := pages.NextPage(context.Background())
		if err != nil {
			return 0, err
		}
		if len(page.Events) > 0 {
			return 0, fmt.Errorf("%q was found", *page.Events[0].Message)
		}
	}
	return time.Since(began), nil
}

// query runs a Logs Insights query to its end.
func (b *berth) query(group *string, from, to int64, text string) (time.Duration, error) {
	ctx, began := context.Background(), time.Now()
	q, err := b.logs.StartQuery(ctx, &cloudwatchlogs.StartQueryInput{LogGroupName: group, StartTime: &from, EndTime: &to, QueryString: &text})
	if err != nil {
		return 0, err
	}
	for tick, deadline := time.NewTicker(5*time.Millisecond), time.Now().Add(2*time.Minute); time.Now().Before(deadline); <-tick.C {
		out, err := b.logs.GetQueryResults(ctx, &cloudwatchlogs.GetQueryResultsInput{QueryId: q.QueryId})
		if err != nil {
			return 0, err
		}
		switch out.Status {
		case types.QueryStatusComplete:
			return time.Since(began), nil
		case types.QueryStatusFailed, types.QueryStatusTimeout:
			return 0, fmt.Errorf("the query is %s", out.Status)
		}
	}
	return 0, fmt.Errorf("the query did not end")
}
