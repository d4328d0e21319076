package wire

import (
	"net/http"

	"github.com/aws/smithy-go"
)

// Syntax is a way to write requests and responses.
type Syntax string

// The syntaxes, named as AWS's protocols are.
const (
	JSON     Syntax = "awsJson"  // 1.0 and 1.1, which differ in the content type
	Query    Syntax = "awsQuery" // form in, XML out
	EC2Query Syntax = "ec2Query" // form in, XML out, other names
)

// syntax reads requests and writes responses. It is the seam where a protocol is
// added: one implementation is one file.
type syntax interface {
	// reader returns the input of r. The error is the client's.
	reader(r *request) (reader, error)
	// output writes a success; body writes the output's members, once.
	output(w http.ResponseWriter, r *request, body func(smithy.ShapeSerializer))
	// failure writes an error.
	failure(w http.ResponseWriter, r *request, e *answer)
}

// reader reads one input.
type reader interface {
	smithy.ShapeDeserializer
	// close returns what was wrong with the input: the first error of any Read,
	// also of those that smithy's generated code forgets (smithy.ReadList drops
	// the errors of ReadListItem), or something left over. The error is the client's.
	close() error
}

// request is an HTTP request that has been recognized.
type request struct {
	*http.Request
	id      string   // x-amzn-RequestId
	body    []byte   // plain, after Content-Encoding
	form    formTree // for the query syntaxes
	service *Service // nil when unknown
	syntax  Syntax
	op      string // the operation's name as the client gave it
	version string // the Version parameter of the query syntaxes
	started bool   // the answer is under way: an error can't be one any more
}

// syntaxes has the implementation of each Syntax. It never changes.
var syntaxes = map[Syntax]syntax{
	JSON:     jsonSyntax{},
	Query:    querySyntax{},
	EC2Query: ec2Syntax{},
}
