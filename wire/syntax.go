package wire

import (
	"io"
	"net/http"
	"reflect"

	"github.com/aws/smithy-go"
)

// Syntax is a way to write requests and responses.
type Syntax string

// The syntaxes, named as AWS's protocols are.
const (
	JSON     Syntax = "awsJson"   // 1.0 and 1.1, which differ in the content type
	Query    Syntax = "awsQuery"  // form in, XML out
	EC2Query Syntax = "ec2Query"  // form in, XML out, other names
	CBOR     Syntax = "rpcV2Cbor" // CBOR both ways
	RESTJSON Syntax = "restJson1" // methods, paths, headers; JSON both ways
	RESTXML  Syntax = "restXml"   // methods, paths, headers; XML both ways
)

// syntax reads requests and writes responses.
type syntax interface {
	// input reads the input of r into the struct in. The error is the client's.
	input(b *binder, r *request, op *operation, in reflect.Value) error
	// output writes a success; out is a pointer to the struct, or nil.
	output(w http.ResponseWriter, b *binder, r *request, op *operation, out reflect.Value) error
	// failure writes an error.
	failure(w http.ResponseWriter, r *request, e *answer)
	// document returns an empty document of the syntax, such as an event has, and its
	// media type.
	document(r *request) (smithy.ShapeSerializer, string)
}

// bodySyntax is a syntax that has all of an input and an output in one body, as those of
// operations by name do. It is the seam where such a protocol is added.
type bodySyntax interface {
	// reader returns the input of r. The error is the client's.
	reader(r *request) (reader, error)
	// output writes a success; body writes the output's members, once.
	output(w http.ResponseWriter, r *request, body func(smithy.ShapeSerializer))
	failure(w http.ResponseWriter, r *request, e *answer)
	document(r *request) (smithy.ShapeSerializer, string)
}

// reader reads one input.
type reader interface {
	smithy.ShapeDeserializer
	// close returns what was wrong with the input: the first error of any Read,
	// also of those that smithy's generated code forgets (smithy.ReadList drops
	// the errors of ReadListItem), or something left over. The error is the client's.
	close() error
}

// rpc is the syntax of a bodySyntax.
type rpc struct{ bodySyntax }

func (x rpc) input(b *binder, r *request, op *operation, in reflect.Value) error {
	d, err := x.reader(r)
	if err != nil {
		return err
	}
	err = b.decode(d, op.schema, in)
	if closed := d.close(); closed != nil {
		return closed
	}
	return err
}

func (x rpc) output(w http.ResponseWriter, b *binder, r *request, _ *operation, out reflect.Value) error {
	var broken error
	x.bodySyntax.output(w, r, func(s smithy.ShapeSerializer) {
		if !out.IsNil() {
			broken = b.encodeMembers(s, nil, out.Elem())
		}
	})
	return broken
}

// request is an HTTP request that has been recognized.
type request struct {
	*http.Request
	id      string            // x-amzn-RequestId
	body    []byte            // plain, after Content-Encoding
	stream  io.Reader         // the body, of an operation that takes a stream of bytes
	form    formTree          // for the query syntaxes
	labels  map[string]string // of the path, for the REST syntaxes
	service *Service          // nil when unknown
	syntax  Syntax
	op      string // the operation's name as the client gave it
	version string // the Version parameter of the query syntaxes
	started bool   // the answer is under way: an error can't be one any more
	broken  bool   // the answer that is under way is not whole, and can't be
}

// syntaxes has the implementation of each Syntax. It never changes.
var syntaxes = map[Syntax]syntax{
	JSON:     rpc{jsonSyntax{}},
	Query:    rpc{querySyntax{}},
	EC2Query: rpc{ec2Syntax{}},
	CBOR:     rpc{cborSyntax{}},
	RESTJSON: restSyntax{restJSON{}},
	RESTXML:  restSyntax{restXML{}},
}
