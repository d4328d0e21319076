package logs

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/smithy-go"

	"github.com/berth/berth/logstore"
	"github.com/berth/berth/state"
)

// Sink is the store as a node's log driver sees it: agent/logdriver.Sink, which
// speaks of state's types only, so that neither knows the other. Ages are not
// checked: output that waited for Berth is kept however long it did.
type Sink struct{ store *logstore.Store }

// NewSink returns a sink that writes to the store.
func NewSink(store *logstore.Store) Sink { return Sink{store} }

// Open makes the stream, and the group where the target says so.
func (s Sink) Open(_ context.Context, t state.LogTarget) error {
	err := s.store.CreateStream(logstore.Scope(t.Scope), t.Group, t.Stream)
	if errors.Is(err, logstore.ErrNoGroup) && t.CreateGroup {
		err = s.store.CreateGroup(logstore.Scope(t.Scope), logstore.Group{Name: t.Group, Class: string(types.LogGroupClassStandard)})
		if err != nil && !errors.Is(err, logstore.ErrGroupExists) {
			return fmt.Errorf("failed to create Cloudwatch log group: %w", coded(err))
		}
		err = s.store.CreateStream(logstore.Scope(t.Scope), t.Group, t.Stream)
	}
	if err != nil && !errors.Is(err, logstore.ErrStreamExists) {
		return fmt.Errorf("failed to create Cloudwatch log stream: %w", coded(err))
	}
	return nil
}

// Cursor returns the next of the source's last Put.
func (s Sink) Cursor(_ context.Context, t state.LogTarget, source string) (int64, error) {
	next, err := s.store.Cursor(logstore.Scope(t.Scope), t.Group, t.Stream, source)
	return next, coded(err)
}

// Put stores the events and the source's cursor, both or neither.
func (s Sink) Put(_ context.Context, t state.LogTarget, source string, events []state.LogEvent, next int64) error {
	out := make([]logstore.Event, len(events))
	for i, e := range events {
		out[i] = logstore.Event{Time: e.Time.UnixMilli(), Message: e.Message}
	}
	_, err := s.store.Put(logstore.Scope(t.Scope), t.Group, t.Stream, out, &logstore.Cursor{Source: source, Next: next})
	return coded(err)
}

// codeError is an error of AWS's as awslogs shows it: "Code: message".
type codeError struct{ smithy.APIError }

func (e codeError) Error() string { return e.ErrorCode() + ": " + e.ErrorMessage() }

func coded(err error) error {
	var api smithy.APIError
	if errors.As(answer(err), &api) {
		return codeError{api}
	}
	return err
}
