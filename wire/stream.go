package wire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"runtime/debug"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/eventstream"
	"github.com/aws/smithy-go/traits"
)

// eventTimeout is how long a client may take to receive one event, before it counts
// as gone. A stream as a whole may take any time.
const eventTimeout = time.Minute

// isStream reports whether t is iter.Seq2[<union of events>, error].
func isStream(t reflect.Type) bool {
	return t.CanSeq2() && t.In(0).NumIn() == 2 && t.In(0).In(0).Kind() == reflect.Interface && t.In(0).In(1) == errorType
}

// streamMember returns the member of an output that is its stream of events, nil
// if it has none.
func streamMember(out *smithy.Schema) *smithy.Schema {
	for _, m := range out.Members() {
		if _, ok := smithy.SchemaTrait[*traits.Streaming](m); ok && m.Type() == smithy.ShapeTypeUnion {
			return m
		}
	}
	return nil
}

// streamWriter writes the messages of one answer in the form
// application/vnd.amazon.eventstream, each sent at once.
type streamWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	encoder *eventstream.Encoder
}

// message writes one message. The error means that the client has gone.
func (s *streamWriter) message(kind, name string, m eventstream.Message) error {
	headers := eventstream.Headers{{Name: ":message-type", Value: eventstream.StringValue(kind)}}
	if name != "" {
		headers = append(headers, eventstream.Header{Name: ":" + kind + "-type", Value: eventstream.StringValue(name)})
	}
	m.Headers = append(headers, m.Headers...)
	// What is no connection (a test's recorder) has no deadlines.
	if err := s.control.SetWriteDeadline(time.Now().Add(eventTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if err := s.encoder.Encode(s.w, m); err != nil {
		return err
	}
	return s.control.Flush()
}

// stream answers with the events of seq, an iter.Seq2 of the output's union and
// errors. An error ends the stream: as an exception where the union has it, else as
// the protocol's error. The error returned is for the log: the client has been told.
func (s *Service) stream(ctx context.Context, w http.ResponseWriter, r *request, op *operation, out, seq reflect.Value) (err error) {
	r.started = true
	sw := &streamWriter{w, http.NewResponseController(w), eventstream.NewEncoder()}
	w.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
	w.WriteHeader(http.StatusOK)
	// The server's limits are for requests that end.
	if err := sw.control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil // the connection is gone
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s panicked: %v\n%s", r.action(), p, debug.Stack())
		}
		if err != nil {
			err = s.streamFailure(sw, r, op, err)
		}
	}()
	gone := s.initialResponse(sw, r, out)
	for event, e := range seq.Seq2() {
		if gone != nil || ctx.Err() != nil {
			break
		}
		if !e.IsNil() {
			return e.Interface().(error)
		}
		m, name, err := s.event(r, op.stream, event)
		if err != nil {
			return err
		}
		gone = sw.message("event", name, m)
	}
	return nil
}

// initialResponse writes the output's own members, which in the protocols that bind
// nothing to HTTP come as the first event.
func (s *Service) initialResponse(sw *streamWriter, r *request, out reflect.Value) error {
	doc, media := syntaxes[r.syntax].document(r)
	schema := s.binder.schemaOf(out.Type().Elem())
	doc.WriteStruct(schema)
	if !out.IsNil() {
		if err := s.binder.encodeMembers(doc, schema, out.Elem()); err != nil {
			return err
		}
	}
	doc.CloseStruct()
	return sw.message("event", "initial-response", payload(doc.Bytes(), media))
}

func payload(body []byte, media string) eventstream.Message {
	return eventstream.Message{Payload: body,
		Headers: eventstream.Headers{{Name: ":content-type", Value: eventstream.StringValue(media)}}}
}

// event makes the message of an event, a variant of the union, and returns its name.
func (s *Service) event(r *request, union *smithy.Schema, v reflect.Value) (eventstream.Message, string, error) {
	if v.IsNil() {
		return eventstream.Message{}, "", errors.New("an event is nil")
	}
	concrete := reflect.Indirect(v.Elem())
	name, _ := strings.CutPrefix(concrete.Type().Name(), v.Type().Name()+"Member")
	variant := memberOf(union, name)
	if variant == nil {
		return eventstream.Message{}, "", fmt.Errorf("%s is no event of %s", concrete.Type(), union.TargetID())
	}
	m := eventstream.Message{}
	doc, media := syntaxes[r.syntax].document(r)
	bound := eventstream.NewShapeSerializer(&m, doc) // which puts what is a header or payload there
	if err := s.binder.encode(bound, variant, concrete.FieldByName("Value")); err != nil {
		return m, "", err
	}
	if m.Payload == nil {
		m.Payload = doc.Bytes()
	}
	p := payload(m.Payload, cmp.Or(bound.ContentType(), media))
	p.Headers = append(p.Headers, m.Headers...)
	return p, variant.MemberName(), nil
}

// streamFailure tells the client err as the last message, and returns what of it is
// to be logged.
func (s *Service) streamFailure(sw *streamWriter, r *request, op *operation, err error) error {
	a := answerTo(r, err)
	var sendErr error
	if m := op.stream.Member(a.code); m != nil && a.members != nil {
		doc, media := syntaxes[r.syntax].document(r)
		doc.WriteStruct(m)
		a.members(doc)
		doc.CloseStruct()
		sendErr = sw.message("exception", m.MemberName(), payload(doc.Bytes(), media))
	} else {
		sendErr = sw.message("error", "", eventstream.Message{Headers: eventstream.Headers{
			{Name: ":error-code", Value: eventstream.StringValue(a.code)},
			{Name: ":error-message", Value: eventstream.StringValue(clip(a.message, 1<<15-1))},
		}})
	}
	if a.cause == nil {
		return sendErr
	}
	return err
}
