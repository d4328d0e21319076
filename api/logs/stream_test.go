package logs_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/berth/berth/logstore"
	"github.com/berth/berth/wire/wiretest"
)

// Streams are listed whole, once each, in every order, page by page.
func TestStreamsInPages(t *testing.T) {
	client, _, store := serve(t, time.Now)
	ctx := t.Context()
	scope := logstore.Scope{Account: wiretest.Account, Region: wiretest.Region}
	if err := store.CreateGroup(scope, logstore.Group{Name: "g"}); err != nil {
		t.Fatal(err)
	}
	var byName, byTime []string
	for i := range 23 {
		name := fmt.Sprintf("t/%02d", i)
		if i%5 == 0 {
			name = fmt.Sprintf("u/%02d", i)
		}
		_, err := store.Put(scope, "g", name, nil, nil)
		if !errors.Is(err, logstore.ErrNoStream) {
			t.Fatal(err)
		}
		if err := store.CreateStream(scope, "g", name); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Put(scope, "g", name, []logstore.Event{{Time: int64(1000 - i), Message: "m"}}, nil); err != nil {
			t.Fatal(err)
		}
		byName, byTime = append(byName, name), append(byTime, name)
	}
	slices.Sort(byName)
	prefixed := slices.DeleteFunc(slices.Clone(byName), func(n string) bool { return n[0] != 'u' })
	backward := slices.Clone(byName)
	slices.Reverse(backward)
	oldest := slices.Clone(byTime)
	slices.Reverse(oldest)
	for _, c := range []struct {
		what string
		in   cwl.DescribeLogStreamsInput
		want []string
	}{
		{"by name", cwl.DescribeLogStreamsInput{}, byName},
		{"descending", cwl.DescribeLogStreamsInput{Descending: aws.Bool(true)}, backward},
		{"prefix", cwl.DescribeLogStreamsInput{LogStreamNamePrefix: aws.String("u/")}, prefixed},
		{"by time", cwl.DescribeLogStreamsInput{OrderBy: types.OrderByLastEventTime}, oldest},
		{"newest first", cwl.DescribeLogStreamsInput{OrderBy: types.OrderByLastEventTime, Descending: aws.Bool(true)}, byTime},
	} {
		c.in.LogGroupName, c.in.Limit = aws.String("g"), aws.Int32(4)
		var got []string
		for pages := cwl.NewDescribeLogStreamsPaginator(client, &c.in); pages.HasMorePages(); {
			page := ok[*cwl.DescribeLogStreamsOutput](t)(pages.NextPage(ctx))
			if len(page.LogStreams) > 4 {
				t.Errorf("%s: a page of %d", c.what, len(page.LogStreams))
			}
			for _, st := range page.LogStreams {
				got = append(got, *st.LogStreamName)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v\nwant %v", c.what, got, c.want)
		}
	}
	if got := problem(second(client.DescribeLogStreams(ctx, &cwl.DescribeLogStreamsInput{LogGroupName: aws.String("g"), NextToken: aws.String("x")}))); got != "InvalidParameterException: The specified nextToken is invalid." {
		t.Errorf("a wrong token: %s", got)
	}
}
