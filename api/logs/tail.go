package logs

import (
	"context"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/berth/berth/internal/id"
	"github.com/berth/berth/logstore"
	"github.com/berth/berth/wire"
)

// What a Live Tail session may be and send (API_StartLiveTail, CloudWatch Logs
// quotas).
const (
	maxTails    = 15 // sessions of an account
	tailTime    = 3 * time.Hour
	tailEvery   = time.Second
	tailEvents  = 500     // of an update
	tailBytes   = 4 << 20 // of an update's messages; AWS names no number
	tailPending = 8 << 20 // bytes that wait for the next update
)

// StartLiveTail sends the events that groups get from now on, once a second, and
// a sample of them when there are many.
func (s *Service) StartLiveTail(ctx context.Context, in *cwl.StartLiveTailInput) (*cwl.StartLiveTailOutput, iter.Seq2[types.StartLiveTailResponseStream, error], error) {
	match, err := filter(in.LogEventFilterPattern)
	if err != nil {
		return nil, nil, err
	}
	if len(in.LogStreamNames) > 0 && len(in.LogStreamNamePrefixes) > 0 {
		return nil, nil, invalid("Only one of logStreamNames and logStreamNamePrefixes can be specified.")
	}
	if len(in.LogGroupIdentifiers) > 1 && len(in.LogStreamNames)+len(in.LogStreamNamePrefixes) > 0 {
		return nil, nil, invalid("logStreamNames and logStreamNamePrefixes can be specified only with one log group.")
	}
	scope := scopeOf(ctx)
	t := &tail{match: match, names: in.LogStreamNames, prefixes: in.LogStreamNamePrefixes, account: scope.Account}
	for _, given := range in.LogGroupIdentifiers {
		if strings.HasSuffix(given, "*") {
			return nil, nil, invalid("The log group identifier %s must not end with an asterisk.", given)
		}
		name, err := groupName(ctx, nil, &given)
		if err != nil {
			return nil, nil, err
		}
		if _, err := s.store.Group(scope, name); err != nil {
			return nil, nil, answer(err)
		}
		t.groups = append(t.groups, name)
	}
	if !s.tails.add(t.account) {
		return nil, nil, &types.LimitExceededException{Message: aws.String("The maximum number of concurrent Live Tail sessions has been reached.")}
	}
	start := types.LiveTailSessionStart{
		LogEventFilterPattern: in.LogEventFilterPattern, LogGroupIdentifiers: in.LogGroupIdentifiers, LogStreamNames: in.LogStreamNames,
		LogStreamNamePrefixes: in.LogStreamNamePrefixes, RequestId: aws.String(wire.CallerFrom(ctx).RequestID), SessionId: aws.String(id.UUID()),
	}
	return nil, func(yield func(types.StartLiveTailResponseStream, error) bool) {
		defer s.tails.remove(t.account)
		if err := t.run(ctx, s, scope, start, yield); err != nil {
			yield(nil, err)
		}
	}, nil
}

// tails counts the sessions of each account.
type tails struct {
	mu sync.Mutex
	n  map[string]int
}

func (t *tails) add(account string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = map[string]int{}
	}
	if t.n[account] >= maxTails {
		return false
	}
	t.n[account]++
	return true
}

func (t *tails) remove(account string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n[account]--
}

// tail is a session. Puts leave their events with it and go on; patterns are
// matched when the next update is made.
type tail struct {
	account  string
	groups   []string
	match    func(message string) bool
	names    []string
	prefixes []string

	mu      sync.Mutex
	pending []batchOf
	size    int
	dropped bool
}

// batchOf is what a put has stored.
type batchOf struct {
	group  string
	events []logstore.Stored
}

// run sends the start and then updates, until the client goes (ctx), the service
// closes, or the session has lasted its time.
func (t *tail) run(ctx context.Context, s *Service, scope logstore.Scope, start types.LiveTailSessionStart, yield func(types.StartLiveTailResponseStream, error) bool) error {
	stop, err := s.store.Watch(scope, t.groups, t.take)
	if err != nil {
		return answer(err)
	}
	defer stop()
	if !yield(&types.StartLiveTailResponseStreamMemberSessionStart{Value: start}, nil) {
		return nil
	}
	tick, over := time.NewTicker(tailEvery), time.NewTimer(tailTime)
	defer tick.Stop()
	defer over.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.queries.ctx.Done():
			return nil
		case <-over.C:
			return &types.SessionTimeoutException{Message: aws.String("The Live Tail session has ended: it has reached its limit of 3 hours.")}
		case <-tick.C:
			if !yield(&types.StartLiveTailResponseStreamMemberSessionUpdate{Value: t.update(scope)}, nil) {
				return nil
			}
		}
	}
}

// take keeps events for the next update, as far as there is room.
func (t *tail) take(group string, events []logstore.Stored) {
	size := 0
	for i := range events {
		size += len(events[i].Message) + 100
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.size+size > tailPending && t.size > 0 {
		t.dropped = true
		return
	}
	t.size += size
	t.pending = append(t.pending, batchOf{group, events})
}

// update makes an update of what has come since the last, in the order in which
// it came.
func (t *tail) update(scope logstore.Scope) types.LiveTailSessionUpdate {
	t.mu.Lock()
	pending, sampled := t.pending, t.dropped
	t.pending, t.size, t.dropped = nil, 0, false
	t.mu.Unlock()
	type found struct {
		group string
		*logstore.Stored
	}
	var chosen []found
	n, size := 0, 0
	for _, b := range pending {
		for i := range b.events {
			e := &b.events[i]
			if !t.stream(e.Stream) || t.match != nil && !t.match(e.Message) {
				continue
			}
			n++
			switch at := rand.IntN(n); {
			case len(chosen) < tailEvents && size+len(e.Message) <= tailBytes:
				chosen = append(chosen, found{b.group, e})
				size += len(e.Message)
			case at < len(chosen) && size+len(e.Message)-len(chosen[at].Message) <= tailBytes:
				// Each has the same chance to be in the sample.
				size += len(e.Message) - len(chosen[at].Message)
				chosen[at] = found{b.group, e}
			}
		}
	}
	slices.SortFunc(chosen, func(a, b found) int { return int(int64(a.Seq - b.Seq)) })
	out := types.LiveTailSessionUpdate{
		SessionMetadata: &types.LiveTailSessionMetadata{Sampled: sampled || n > len(chosen)},
		SessionResults:  make([]types.LiveTailSessionLogEvent, len(chosen)),
	}
	for i, e := range chosen {
		out.SessionResults[i] = types.LiveTailSessionLogEvent{
			LogGroupIdentifier: aws.String(scope.Account + ":" + e.group), LogStreamName: &e.Stream,
			Message: &e.Message, Timestamp: &e.Time, IngestionTime: &e.Ingested,
		}
	}
	return out
}

// stream reports whether the session is about the stream.
func (t *tail) stream(name string) bool {
	if len(t.names) > 0 {
		return slices.Contains(t.names, name)
	}
	return len(t.prefixes) == 0 || slices.ContainsFunc(t.prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}
