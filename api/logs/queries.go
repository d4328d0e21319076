package logs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/berth/berth/api/logs/insights"
	"github.com/berth/berth/internal/id"
	"github.com/berth/berth/logstore"
)

// What queries may use.
const (
	maxQueries     = 100                // that have not ended, of an account (CloudWatch Logs quotas)
	running        = 2                  // at a time; others are Scheduled
	queryMemory    = 64 << 20           // bytes that one may keep while it runs
	queryTime      = time.Hour          // how long one may run, as on AWS
	recordsKept    = 7 * 24 * time.Hour // how long a query is known after it was started, as on AWS
	maxRecords     = 1000               // queries known, of a scope
	maxKeptResults = 64 << 20           // bytes of results in memory
)

// queryRecords is the kind of records that queries are kept as.
const queryRecords = "query"

// queryRecord is what is kept of a query. Its results are not: they follow from
// it, and a query whose results are no longer in memory is run again when it is
// asked for. So queries outlive the process.
type queryRecord struct {
	id         string
	Text       string
	Groups     []string
	Start, End int64 // s since 1970, both in the range
	Limit      int
	Created    int64 // ms since 1970
	Status     types.QueryStatus
	Took       int64 // ms
	insights.Statistics
}

// query is one in memory.
type query struct {
	queryRecord
	scope logstore.Scope

	mu      sync.Mutex // guards Status, Took and Statistics of the record, too
	rows    [][]insights.Field
	size    int
	cancel  context.CancelFunc
	stopped bool
}

// queries are those of a service.
type queries struct {
	s      *Service
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
	slots  chan struct{}

	mu   sync.Mutex
	all  map[string]*query
	done []*query // have ended, the longest ago first
	size int      // bytes of results of those
}

func newQueries(s *Service) *queries {
	ctx, cancel := context.WithCancel(context.Background())
	return &queries{s: s, ctx: ctx, cancel: cancel, slots: make(chan struct{}, running), all: map[string]*query{}}
}

// close ends all queries. Those that have not ended are run by the next process.
func (qs *queries) close() {
	qs.cancel()
	qs.work.Wait()
}

var errTooManyQueries = &types.LimitExceededException{Message: aws.String("Account maximum query concurrency limit of 100 reached.")}

// start keeps a query's record and runs it.
func (qs *queries) start(scope logstore.Scope, r queryRecord) (string, error) {
	now := qs.s.now()
	r.id, r.Created, r.Status = id.UUID(), now.UnixMilli(), types.QueryStatusScheduled
	qs.mu.Lock()
	alive := 0
	for _, q := range qs.all {
		if status, _, _ := q.state(); q.scope.Account == scope.Account && !ended(status) {
			alive++
		}
	}
	qs.mu.Unlock()
	if alive >= maxQueries {
		return "", errTooManyQueries
	}
	err := qs.s.store.UpdateDocs(scope, "", queryRecords, func(docs map[string][]byte) error {
		if err := prune(docs, now); err != nil {
			return err
		}
		return putRecord(docs, &r)
	})
	if err != nil {
		return "", err
	}
	qs.run(scope, r)
	return r.id, nil
}

// prune forgets old queries.
func prune(docs map[string][]byte, now time.Time) error {
	created := map[string]int64{}
	for name, doc := range docs {
		r, err := readRecord(name, doc)
		if err != nil {
			return err
		}
		if created[name] = r.Created; r.Created < now.Add(-recordsKept).UnixMilli() {
			delete(docs, name)
		}
	}
	names := slices.SortedFunc(maps.Keys(docs), func(a, b string) int { return int(created[b] - created[a]) })
	for i, name := range names {
		if i >= maxRecords-1 {
			delete(docs, name)
		}
	}
	return nil
}

func putRecord(docs map[string][]byte, r *queryRecord) error {
	doc, err := json.Marshal(r)
	docs[r.id] = doc
	return err
}

func readRecord(name string, doc []byte) (*queryRecord, error) {
	r := &queryRecord{id: name}
	if err := json.Unmarshal(doc, r); err != nil {
		return nil, fmt.Errorf("read query %s: %w", name, err)
	}
	return r, nil
}

func ended(s types.QueryStatus) bool {
	return s != types.QueryStatusScheduled && s != types.QueryStatusRunning
}

// run runs a query in the background, unless it is there already.
func (qs *queries) run(scope logstore.Scope, r queryRecord) *query {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	if q := qs.all[r.id]; q != nil {
		return q
	}
	q := &query{queryRecord: r, scope: scope}
	q.Status = types.QueryStatusScheduled
	ctx, cancel := context.WithCancel(qs.ctx)
	q.cancel = cancel
	qs.all[r.id] = q
	qs.work.Go(func() {
		defer cancel()
		qs.execute(ctx, q)
	})
	return q
}

func (qs *queries) execute(ctx context.Context, q *query) {
	select {
	case qs.slots <- struct{}{}:
		defer func() { <-qs.slots }()
	case <-ctx.Done():
		qs.end(q, insights.Results{}, ctx.Err(), 0)
		return
	}
	began := time.Now()
	q.mu.Lock()
	q.Status = types.QueryStatusRunning
	q.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	plan, err := insights.Parse(q.Text, time.UnixMilli(q.Created))
	results := insights.Results{}
	if err == nil {
		// The second that the range ends with is in it, whole.
		events := qs.s.events(ctx, q.scope, q.Groups, q.Start*1000, (q.End+1)*1000)
		results, err = plan.Run(ctx, events, pointer, insights.Limits{Rows: q.Limit, Bytes: queryMemory}, func(s insights.Statistics) {
			q.mu.Lock()
			q.Statistics = s
			q.mu.Unlock()
		})
	}
	qs.end(q, results, err, time.Since(began))
}

// end keeps the results in memory and the outcome in the record.
func (qs *queries) end(q *query, results insights.Results, err error, took time.Duration) {
	if qs.ctx.Err() != nil {
		return // the process ends: the next one runs it
	}
	q.mu.Lock()
	switch {
	case q.stopped:
		q.Status = types.QueryStatusCancelled
	case errors.Is(err, context.DeadlineExceeded):
		q.Status = types.QueryStatusTimeout
	case err != nil:
		q.Status = types.QueryStatusFailed
	default:
		q.Status = types.QueryStatusComplete
		q.rows = results.Rows
	}
	if err != nil && !q.stopped {
		qs.s.log.Warn("a Logs Insights query failed", "query", q.id, "after", took, "err", err)
	}
	q.Statistics, q.Took = results.Statistics, took.Milliseconds()
	for _, r := range q.rows {
		for _, f := range r {
			q.size += len(f.Name) + len(f.Value) + 32
		}
	}
	record := q.queryRecord
	q.mu.Unlock()
	// Lost, it is found out again by running the query.
	if err := qs.s.store.UpdateDocs(q.scope, "", queryRecords, func(docs map[string][]byte) error {
		if docs[record.id] == nil {
			return nil
		}
		return putRecord(docs, &record)
	}); err != nil {
		q.mu.Lock()
		q.Status, q.rows = types.QueryStatusFailed, nil
		q.mu.Unlock()
		qs.s.log.Error("keep the outcome of a Logs Insights query", "query", record.id, "err", err)
	}
	qs.mu.Lock()
	defer qs.mu.Unlock()
	qs.done = append(qs.done, q)
	for qs.size += q.size; len(qs.done) > 1 && (qs.size > maxKeptResults || len(qs.done) > maxRecords); qs.done = qs.done[1:] {
		qs.size -= qs.done[0].size
		delete(qs.all, qs.done[0].id)
	}
}

// state is how far the query has come.
func (q *query) state() (types.QueryStatus, insights.Statistics, [][]insights.Field) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.Status, q.Statistics, q.rows
}

// stop cancels the query, and reports whether it had not ended.
func (q *query) stop() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if ended(q.Status) {
		return false
	}
	q.stopped, q.Status = true, types.QueryStatusCancelled
	q.cancel()
	return true
}

// get returns a query. One that is not in memory is run again, but for those
// that have no results.
func (qs *queries) get(scope logstore.Scope, name string) (*query, error) {
	missing := &types.ResourceNotFoundException{Message: aws.String("The specified query does not exist.")}
	qs.mu.Lock()
	q := qs.all[name]
	qs.mu.Unlock()
	if q != nil {
		if q.scope != scope {
			return nil, missing
		}
		return q, nil
	}
	docs, err := qs.s.store.Docs(scope, "", queryRecords)
	if err != nil {
		return nil, err
	}
	if docs[name] == nil {
		return nil, missing
	}
	r, err := readRecord(name, docs[name])
	if err != nil {
		return nil, err
	}
	if ended(r.Status) && r.Status != types.QueryStatusComplete {
		return &query{queryRecord: *r, scope: scope}, nil
	}
	return qs.run(scope, *r), nil
}

// list returns copies of all records of a scope, with what is known in memory.
func (qs *queries) list(scope logstore.Scope) ([]*queryRecord, error) {
	docs, err := qs.s.store.Docs(scope, "", queryRecords)
	if err != nil {
		return nil, err
	}
	var all []*queryRecord
	for name, doc := range docs {
		r, err := readRecord(name, doc)
		if err != nil {
			return nil, err
		}
		qs.mu.Lock()
		q := qs.all[name]
		qs.mu.Unlock()
		if q == nil && !ended(r.Status) { // the process ended before it did
			q = qs.run(scope, *r)
		}
		if q != nil {
			q.mu.Lock()
			r.Status, r.Took, r.Statistics = q.Status, q.Took, q.Statistics
			q.mu.Unlock()
		}
		all = append(all, r)
	}
	return all, nil
}
