package wire

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/traits"
)

// answer is an error as it is answered.
type answer struct {
	status  int
	code    string
	message string
	// members writes the members of a modeled error, its message among them; nil
	// for an error that has none.
	members func(smithy.ShapeSerializer)
	// query is the code that awsQuery has for the error, where that is another one.
	query string
	// cause is what is logged and not told.
	cause error
}

func (a *answer) Error() string { return a.code + ": " + a.message }

// sender is whose fault the query protocols say it was.
func (a *answer) sender() string {
	if a.status >= 500 {
		return "Receiver"
	}
	return "Sender"
}

// statuses are of error codes whose status on AWS is not the fault's 400 or 500 and
// which no schema tells. From the AWS references "Common Errors" of IAM and EC2.
var statuses = map[string]int{
	"NotImplemented":        http.StatusNotImplemented,
	"AccessDenied":          http.StatusForbidden,
	"AuthFailure":           http.StatusUnauthorized,
	"UnauthorizedOperation": http.StatusForbidden,
	"SignatureDoesNotMatch": http.StatusForbidden,
	"InvalidClientTokenId":  http.StatusForbidden,
	"Unavailable":           http.StatusServiceUnavailable,
	"ServiceUnavailable":    http.StatusServiceUnavailable,
	"DryRunOperation":       http.StatusPreconditionFailed,
	"OptInRequired":         http.StatusForbidden,
	"ExpiredToken":          http.StatusForbidden,

	// "Error responses" of the Amazon S3 API Reference.
	"BucketAlreadyExists":     http.StatusConflict,
	"BucketAlreadyOwnedByYou": http.StatusConflict,
	"BucketNotEmpty":          http.StatusConflict,
	"InvalidRange":            http.StatusRequestedRangeNotSatisfiable,
	"MethodNotAllowed":        http.StatusMethodNotAllowed,
	"NoSuchBucket":            http.StatusNotFound,
	"NoSuchKey":               http.StatusNotFound,
	"NoSuchTagSet":            http.StatusNotFound,
	"NoSuchUpload":            http.StatusNotFound,
	"NotFound":                http.StatusNotFound,
	"NotModified":             http.StatusNotModified,
	"PreconditionFailed":      http.StatusPreconditionFailed,
}

// answerTo turns the error of a handler, or of this package, into what is answered.
func answerTo(r *request, err error) *answer {
	var a *answer
	if errors.As(err, &a) {
		return a
	}
	var api smithy.APIError
	if !errors.As(err, &api) || isNilPointer(api) {
		return internalFailure(r, err)
	}
	a = &answer{code: api.ErrorCode(), message: api.ErrorMessage()}
	a.status = statusOf(api)
	if schema := schemaOfError(api); schema != nil {
		if t, ok := smithy.SchemaTrait[*traits.AWSQueryError](schema); ok {
			a.query = t.ErrorCode
			if a.code = schema.ID().Name; r.syntax == Query {
				a.code, a.status = t.ErrorCode, t.StatusCode
			}
		}
	}
	if a.status >= 500 && api.ErrorFault() != smithy.FaultClient {
		a.cause = err
	}
	if x, ok := api.(smithy.Serializable); ok && r.service != nil {
		v := reflect.Indirect(reflect.ValueOf(x))
		a.members = func(w smithy.ShapeSerializer) {
			// A modeled error has the form of its schema; what would not fit is left out.
			_ = r.service.binder.encodeMembers(w, nil, v)
		}
	}
	return a
}

func isNilPointer(x any) bool {
	v := reflect.ValueOf(x)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

func statusOf(e smithy.APIError) int {
	if s, ok := e.(interface{ HTTPStatusCode() int }); ok {
		return s.HTTPStatusCode()
	}
	if s := schemaOfError(e); s != nil {
		if t, ok := smithy.SchemaTrait[*traits.HTTPError](s); ok {
			return t.Code
		}
	}
	if n, ok := statuses[e.ErrorCode()]; ok {
		return n
	}
	if e.ErrorFault() == smithy.FaultServer {
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest
}

func schemaOfError(e smithy.APIError) *smithy.Schema {
	t := reflect.TypeOf(e)
	if t.Kind() != reflect.Pointer {
		return nil
	}
	x, ok := reflect.New(t.Elem()).Interface().(smithy.Serializable)
	if !ok {
		return nil
	}
	p := &probe{}
	x.Serialize(p)
	return p.schema
}

// internalFailure is what the protocol says when the server is at fault: the
// cause is logged, not told.
func internalFailure(r *request, cause error) *answer {
	if errors.Is(cause, context.Canceled) && r.Context().Err() != nil {
		return &answer{status: 499, code: "ClientClosedRequest", message: "The client has gone"}
	}
	a := &answer{status: http.StatusInternalServerError, cause: cause, code: "InternalFailure",
		message: "The request processing has failed because of an unknown error, exception or failure."}
	if r.syntax == EC2Query {
		a.code, a.message = "InternalError", "An internal error has occurred"
	}
	if r.service != nil && r.service.desc.Failure != "" {
		a.code = r.service.desc.Failure
	}
	return a
}

// malformed is the client's error for an input that cannot be read.
func malformed(r *request, err error) *answer {
	a := &answer{status: http.StatusBadRequest, code: "SerializationException", message: err.Error()}
	var unknown *unknownParameter
	var form *formError
	switch {
	case r.syntax == JSON, r.syntax == CBOR, r.syntax == RESTJSON:
	case r.syntax == RESTXML:
		var bound *bindError
		a.code = "MalformedXML"
		if errors.As(err, &bound) {
			a.code = "InvalidArgument"
		}
	case errors.As(err, &unknown):
		a.code = "UnknownParameter"
	case errors.As(err, &form):
		a.code = "MalformedInput"
		if r.syntax == EC2Query {
			a.code = "InvalidParameterValue"
		}
	default:
		a.code = "MalformedQueryString"
	}
	return a
}

// notImplemented is the answer for an operation that the server lacks.
func notImplemented(service, op string) *answer {
	return &answer{status: http.StatusNotImplemented, code: "NotImplemented",
		message: fmt.Sprintf("%s:%s is not implemented by this server.", service, op)}
}

// unknownOperation is the answer for an operation that AWS lacks.
func unknownOperation(r *request) *answer {
	a := &answer{status: http.StatusBadRequest, code: "InvalidAction"}
	version := r.version
	if version == "" {
		version = "NO_VERSION_SPECIFIED"
	}
	switch {
	case r.syntax == EC2Query && r.op == "":
		a.code, a.message = "MissingAction", "The request must contain the parameter Action"
	case r.syntax == EC2Query:
		a.message = "The action " + r.op + " is not valid for this web service."
	case r.syntax == Query && r.op == "":
		a.code, a.message = "MissingAction", "Missing Action"
	case r.syntax == Query:
		a.message = "Could not find operation " + r.op + " for version " + version
	default:
		a.code = "UnknownOperationException"
		if r.op != "" {
			a.message = "Unknown operation " + strconv.Quote(r.op)
		}
	}
	return a
}

// accessDenied is the answer when Allow refuses without an error of AWS's form.
func accessDenied(r *request, c Caller, action string) *answer {
	a := &answer{status: http.StatusBadRequest, code: "AccessDeniedException",
		message: "User: " + c.ARN + " is not authorized to perform: " + action}
	switch r.syntax {
	case Query:
		a.status, a.code = http.StatusForbidden, "AccessDenied"
	case RESTXML:
		a.status, a.code = http.StatusForbidden, "AccessDenied"
	case RESTJSON:
		a.status = http.StatusForbidden
	case EC2Query:
		a.status, a.code, a.message = http.StatusForbidden, "UnauthorizedOperation",
			"You are not authorized to perform this operation. "+a.message
	}
	return a
}

// queryError tells a client of a service that once spoke awsQuery the code that this had.
func queryError(w http.ResponseWriter, r *request, e *answer) {
	if r.Header.Get("X-Amzn-Query-Mode") == "true" && e.query != "" {
		w.Header().Set("x-amzn-query-error", e.query+";"+e.sender())
	}
}
