package wire

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/smithy-go"

	"github.com/berth/berth/internal/id"
)

// maxBody is the largest request body read, plain, in bytes. The largest request
// of the services here is a PutLogEvents of 1 MiB of messages, in JSON.
const maxBody = 8 << 20

// Server serves the services over HTTP. The fields are set before the first request.
type Server struct {
	Services []*Service
	// Authenticate says who signed a request: [Verify] or [AcceptAny].
	Authenticate Authenticate
	// Allow says whether a caller may do an action, such as "ecs:RunTask". An error
	// that is no [smithy.APIError] becomes the protocol's access denied. Nil allows all.
	Allow func(ctx context.Context, c Caller, action string) error
	// Log gets a line for every request, at level error where the server is at
	// fault, else debug. It is required.
	Log *slog.Logger

	held atomic.Int64 // bytes of large bodies, at most maxHeld
}

// Service is a service bound to the value that implements it.
type Service struct {
	desc       Description
	operations map[string]*operation // nil values are not implemented
	binder     *binder
	rules      *rules // nil without constraints
	routes     []route
	check      func(context.Context, string, any) error
}

// operation is a method that answers an operation.
type operation struct {
	method reflect.Value
	in     reflect.Type // the struct
	out    reflect.Type
	schema *smithy.Schema // of the input
	stream *smithy.Schema // the output's union of events, nil if it has none

	// Of the REST syntaxes only:
	input, output *binding
	status        int    // of a success
	root          string // the root element of the answer, empty for the struct's name
}

var (
	contextType = reflect.TypeFor[context.Context]()
	errorType   = reflect.TypeFor[error]()
)

// NewService binds the methods of impl to the operations of d. The error names
// the methods that have an operation's name and not its form, or shapes that do
// not bind; it is meant to stop the start.
func NewService(d Description, impl any) (*Service, error) {
	m, err := loadModel(d.Name)
	if err != nil {
		return nil, err
	}
	if d.Operations == nil {
		d.Operations = m.Operations
	}
	s := &Service{desc: d, operations: make(map[string]*operation, len(d.Operations)),
		binder: newBinder(m.Names, d.Unions)}
	s.routes = newRoutes(m.HTTP)
	if d.Constraints != "" {
		if s.rules, err = newRules(m, d.Constraints); err != nil {
			return nil, fmt.Errorf("read the constraints of %s: %w", d.Name, err)
		}
	}
	if c, ok := impl.(interface {
		Check(ctx context.Context, operation string, in any) error
	}); ok {
		s.check = c.Check
	}
	var wrong []error
	v := reflect.ValueOf(impl)
	for _, name := range d.Operations {
		s.operations[name] = nil
		method := v.MethodByName(name)
		if !method.IsValid() {
			continue
		}
		op, err := s.bindOperation(name, method, m.HTTP[name])
		if err == nil && m.Named != nil && !slices.Contains(m.Named, name) {
			err = fmt.Errorf("its wire names are unknown: add it to wire/model/gen/%soperations.txt and run that tool", d.Name)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s:%s: %w", d.Name, name, err))
			continue
		}
		s.operations[name] = op
	}
	return s, errors.Join(wrong...)
}

func (s *Service) bindOperation(name string, method reflect.Value, form httpForm) (*operation, error) {
	t := method.Type()
	last := t.NumOut() - 1
	if t.NumIn() != 2 || t.In(0) != contextType || !isStructNamed(t.In(1), name+"Input") ||
		last < 1 || last > 2 || !isStructNamed(t.Out(0), name+"Output") || t.Out(last) != errorType {
		return nil, fmt.Errorf("the method is %s, want func(context.Context, *%sInput) (*%sOutput, error)", t, name, name)
	}
	op := &operation{method: method, in: t.In(1).Elem(), out: t.Out(0).Elem()}
	for _, x := range []reflect.Type{op.in, op.out} {
		if err := s.binder.bind(x, s.binder.schemaOf(x)); err != nil {
			return nil, err
		}
	}
	op.schema = s.binder.schemaOf(op.in)
	if smithy.NewOperationSchema(nil, op.schema, nil).IsInputEventStream() {
		return nil, errors.New("event streams of clients are not implemented")
	}
	op.stream = streamMember(s.binder.schemaOf(op.out))
	if op.stream != nil && (last != 2 || !isStream(t.Out(1))) || op.stream == nil && last != 1 {
		return nil, fmt.Errorf("the method is %s: it returns an iter.Seq2[types.Event, error] before the error if the operation has a stream of events, else not", t)
	}
	if !s.speaks(RESTJSON) && !s.speaks(RESTXML) {
		return op, nil
	}
	if op.stream != nil {
		return nil, errors.New("event streams are not implemented in REST syntaxes")
	}
	op.root, op.status = form.Root, cmp.Or(form.Code, http.StatusOK)
	var err error
	if op.input, err = s.binder.bindHTTP(op.in); err != nil {
		return nil, err
	}
	op.output, err = s.binder.bindHTTP(op.out)
	return op, err
}

func isStructNamed(t reflect.Type, name string) bool {
	return t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct && t.Elem().Name() == name
}

// Name is the name of the service.
func (s *Service) Name() string { return s.desc.Name }

// signing is the name of the service in signatures.
func (s *Service) signing() string { return cmp.Or(s.desc.Signing, s.desc.Name) }

// Operations returns the names of all operations of the service, sorted, with
// whether there is a method for it.
func (s *Service) Operations() (names []string, implemented map[string]bool) {
	implemented = map[string]bool{}
	for name, op := range s.operations {
		names = append(names, name)
		implemented[name] = op != nil
	}
	slices.Sort(names)
	return names, implemented
}

// ServeHTTP answers one request. See the package's documentation for the order.
func (s *Server) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	start := time.Now()
	r := &request{Request: hr, id: id.UUID(), syntax: JSON}
	w.Header().Set("x-amzn-RequestId", r.id)
	caller, err := s.serve(w, r)
	level, code := slog.LevelDebug, ""
	attrs := []any{"request", r.id, "operation", r.action(), "account", caller.Account, "took", time.Since(start)}
	if err != nil {
		a := answerTo(r, err)
		if !r.started {
			syntaxes[r.syntax].failure(w, r, a)
		}
		code = a.code
		attrs = append(attrs, "code", code, "status", a.status)
		if a.cause != nil {
			level = slog.LevelError
			attrs = append(attrs, "err", a.cause)
		}
	}
	if r.broken {
		defer panic(http.ErrAbortHandler) // net/http's way to break a connection off
	}
	s.Log.Log(r.Context(), level, "API request", attrs...)
}

// action is what is asked for, as policies name it.
func (r *request) action() string {
	if r.service == nil {
		return r.op
	}
	return r.service.desc.Name + ":" + r.op
}

// serve answers a request, or returns the error to answer, of which a panic is one.
// Nothing is written before the whole answer is there.
func (s *Server) serve(w http.ResponseWriter, r *request) (_ Caller, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s panicked: %v\n%s", r.action(), p, debug.Stack())
		}
	}()
	held := &holding{server: s}
	defer held.release()
	rest, err := s.detectREST(r)
	if err != nil {
		return Caller{}, err
	}
	var op *operation
	var raw []byte // nil for a body that the operation reads
	if rest {
		op = r.service.operations[r.op]
	}
	streams := op != nil && op.input.streams(op.in)
	if !streams {
		if raw, err = readBody(r, held); err != nil {
			return Caller{}, err
		}
	}
	if !rest {
		if err := s.detect(r); err != nil {
			return Caller{}, err
		}
	}
	caller, err := s.Authenticate(r.Request, raw, r.service.signing())
	if err != nil {
		var ae *authError
		if errors.As(err, &ae) {
			err = authAnswer(r.syntax, ae)
		}
		return caller, err
	}
	caller.RequestID = r.id
	caller.SourceIP, _, _ = net.SplitHostPort(r.RemoteAddr)
	caller.Endpoint = "http://" + r.Host
	if r.TLS != nil {
		caller.Endpoint = "https://" + r.Host
	}
	op, known := r.service.operations[r.op]
	if streams {
		if r.stream, err = newUpload(w, r, caller.chunks); err != nil {
			return caller, err
		}
	}
	if !known {
		return caller, unknownOperation(r)
	}
	ctx := WithCaller(r.Context(), caller)
	if s.Allow != nil {
		if err := s.Allow(ctx, caller, r.action()); err != nil {
			var api smithy.APIError
			if !errors.As(err, &api) {
				err = accessDenied(r, caller, r.action())
			}
			return caller, err
		}
	}
	if op == nil {
		return caller, notImplemented(r.service.desc.Name, r.op)
	}
	return caller, r.service.do(ctx, w, r, op)
}

// do decodes the input, checks it, calls the operation and writes its output.
func (s *Service) do(ctx context.Context, w http.ResponseWriter, r *request, op *operation) error {
	in := reflect.New(op.in)
	if err := syntaxes[r.syntax].input(s.binder, r, op, in.Elem()); err != nil {
		return malformed(r, err)
	}
	if s.rules != nil {
		if err := s.rules.check(r.op, in.Elem()); err != nil {
			return err
		}
	}
	out, events, err := s.call(ctx, r.op, op, in)
	if err != nil {
		return err
	}
	if op.stream != nil {
		return s.stream(ctx, w, r, op, out, events)
	}
	return syntaxes[r.syntax].output(w, s.binder, r, op, out)
}

// call calls Check and the method. Events is the stream of an operation that has one.
func (s *Service) call(ctx context.Context, name string, op *operation, in reflect.Value) (out, events reflect.Value, err error) {
	if s.check != nil {
		if err := s.check(ctx, name, in.Interface()); err != nil {
			return out, events, err
		}
	}
	result := op.method.Call([]reflect.Value{reflect.ValueOf(ctx), in})
	if last := result[len(result)-1]; !last.IsNil() {
		return out, events, last.Interface().(error)
	}
	if op.stream != nil {
		events = result[1]
		if events.IsNil() {
			return out, events, errors.New("the stream is nil")
		}
	}
	return result[0], events, nil
}

// readBody reads the body into r, plain, and returns it as it was sent, which is
// what the signature covers. The error is an *answer.
func readBody(r *request, held *holding) ([]byte, error) {
	raw, err := held.readAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.body = raw
	switch encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))); encoding {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return nil, badBody(http.StatusBadRequest, "SerializationException", "The request body is not in gzip's format")
		}
		if r.body, err = held.readAll(z); err != nil {
			return nil, err
		}
	default:
		return nil, badBody(http.StatusUnsupportedMediaType, "UnsupportedMediaTypeException", "Content-Encoding "+strconv.Quote(encoding)+" is not supported")
	}
	return raw, nil
}

func badBody(status int, code, message string) *answer {
	return &answer{status: status, code: code, message: message}
}

// send writes a whole response.
func send(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	// An error means that the client has gone; nobody is left to tell.
	_, _ = w.Write(body)
}
