// Package logs is CloudWatch Logs' API over a log store: groups, streams,
// events, retention and tags. Its methods are operations (see package wire).
//
// It owns AWS's rules: limits, error texts, tokens and filter patterns. What is
// kept, in which order, and for how long, is package logstore's. Constraints of
// AWS's model (required members, lengths, patterns) are checked by package wire
// before a method is called. What becomes of each field is in fidelity.txt.
//
// [Sink] is the same store as the node's log driver sees it: without a request,
// without limits of age, and with a cursor that makes shipping exactly once.
//
//	logs := logs.New(store, time.Now)              // *logstore.Store
//	service, err := wire.NewService(wire.Logs, logs)
//	shipper, err := logdriver.New(logs.NewSink(store), log)
//
// # Tests
//
// They serve the package over wire to the real SDK client and the AWS CLI, on a
// store in a temporary directory. The filter patterns have a fuzzer.
package logs
