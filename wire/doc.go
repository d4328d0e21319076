// Package wire speaks the AWS wire protocols for services whose methods take and
// return the AWS SDK's own types. It knows no service: what it must know about
// one is a [Description] and a data file in model/.
//
//	ecs, err := wire.NewService(wire.ECS, ecsapi.New(store))
//	srv := &wire.Server{
//		Services:     []*wire.Service{ecs, ec2, logs, sts},
//		Authenticate: wire.Verify(keys, time.Now),
//		Log:          log,
//	}
//	http.Serve(listener, srv)
//
// # Operations are methods
//
// A method whose name is an operation of the service, and whose form is
//
//	func (s *Service) RunTask(ctx context.Context, in *ecs.RunTaskInput) (*ecs.RunTaskOutput, error)
//
// answers it. Methods are found by reflection, so "find usages" shows none.
// An operation without a method answers 501 NotImplemented with its name. A
// method that has an operation's name and not its form is an error of
// [NewService], which stops the start; other methods are left alone. A nil
// output stands for an empty one.
//
// # Streams of events
//
// An operation that answers with an event stream returns it as an iterator:
//
//	func (s *Service) StartLiveTail(ctx context.Context, in *cwl.StartLiveTailInput) (
//		*cwl.StartLiveTailOutput, iter.Seq2[types.StartLiveTailResponseStream, error], error)
//
// What the method returns as its error is answered as any error. Else the answer
// begins, with the output's members as the first event (initial-response), and the
// iterator is run once, on the same goroutine; so it may take hold of things, and let
// go of them by defer. It yields variants of the SDK's union by pointer or value, such
// as &types.StartLiveTailResponseStreamMemberSessionStart{Value: …}, with a nil error;
// each is sent at once. It waits for what comes next and for ctx.Done(), which is how
// a client that has gone shows (yield returning false is the other way). It returns to end the
// stream, or yields a nil event with an error: an error type that is a member of the
// union (&types.SessionTimeoutException{…}) is sent as an exception, any other with
// its code, or as an internal failure. The server's time limits do not hold for streams.
//
// # Checks
//
// If the value also has the method
//
//	Check(ctx context.Context, operation string, in any) error
//
// it is called after the request was decoded and its constraints were checked,
// and before the operation: the place to refuse fields that the service lacks.
//
// # A request, in order
//
// [Server.ServeHTTP] gives it an ID, reads its body, finds syntax, service and
// operation (detect.go), verifies the signature (sigv4.go), asks Allow, decodes
// (bind.go over one of the syntaxes), checks constraints (check.go), calls Check
// and the method, and writes the output or the error in the request's own syntax.
// The handler finds who asks with [CallerFrom]: account of the key, region of the
// signature's scope, request ID.
//
// # Errors
//
// A handler returns an error type of the SDK (&types.ClusterNotFoundException{…})
// or any [smithy.APIError], such as &smithy.GenericAPIError{Code, Message, Fault};
// wrapped errors are found too. The HTTP status is the one in the SDK's schema,
// then of a small table, then 400 for client's faults and 500 for the server's. Any
// other error, and a panic, is logged with the request's ID and answered as the
// internal failure of the protocol, without its text.
//
// # Zero, unset and empty
//
// Numbers and booleans that are fields by value are always written, zero or not,
// as AWS does (runningCount: 0); nil pointers, nil slices, nil maps and empty
// enums never are. A nil slice is left out and an empty one is written as [], so
// a handler decides whether "failures" shows.
//
// # EC2's shapes
//
// The SDK's ec2 client takes minutes and gigabytes to compile, so nobody imports
// it. Package api/ec2 declares the input and output structs that it needs, with
// the nested types of service/ec2/types. They are bound by their names, so:
//
//   - a struct is named as in the SDK: DescribeVpcsInput, DescribeVpcsOutput;
//   - fields are named and typed as in the SDK: VpcIds []string, Filters
//     []types.Filter, MaxResults *int32, DryRun *bool; outputs have no
//     ResultMetadata (it would be left out);
//   - no tags, no embedded structs, no Serialize methods;
//   - the wire names (Filter.1.Value.1 in, <vpcSet><item> out) are in model/ec2.json.
//     A field that the file does not name goes by EC2's rule: its own name in a
//     request, with a small first letter in a response;
//   - an operation whose output is empty returns an empty struct, and the answer is
//     <return>true</return>.
//
// A request parameter that has no field is refused with UnknownParameter, as EC2
// does. So a struct lists all members that AWS documents, and handlers or Check
// refuse what they do not honour.
//
// # Another service
//
// Add it to the targets of model/gen, run that, and describe it in describe.go.
// Services of modules with schemas (JSON) and most query services need no names;
// for the others the corpus tells which are missing, and patch.json takes them.
// Where a service answers bad input with "1 validation error detected: …", name
// the code in Constraints and list its operations in model/gen. An operation of EC2
// whose names were never generated stops the start.
//
// # Protocols
//
// The protocol is the request's property. detect.go knows awsJson by X-Amz-Target, the query
// protocols by a form with Action, and rpcV2Cbor by Smithy-Protocol; they name their operation and have
// all of an input in the body: each is a bodySyntax (syntax.go) and one or two files. A service that
// speaks restJson1 or restXml is known by the signature's scope, or its host, before the body is
// read: route.go finds the operation by method, path and query, httpbind.go reads and
// writes what is in labels, queries and headers, and rest.go the body. Where an operation
// is comes from the data file (section http).
//
// A member that is a stream of bytes (S3's Body) is the connection itself: see [Upload],
// which takes signed and unsigned chunks apart and holds the bytes to their digests. A
// handler reads it to io.EOF before it lets anything come of it. An output's stream is
// copied to the client and closed; it sets Content-Length if it knows. Streams have a
// minute for each piece, whatever limits the server has for requests.
//
// Documents (Smithy's open type) pass as the JSON that they are, in the types of the SDK's
// modules that have schemas; the other syntaxes have none.
//
// # Tests
//
// Package wiretest serves any service to real SDK clients, and sends it AWS's own
// corpus of requests. This package's tests hold the syntaxes against that corpus
// (testdata/uncovered.txt says what is not covered, and why), against the AWS CLI, whose
// XML reader is not Go's, and against fuzzers.
package wire
