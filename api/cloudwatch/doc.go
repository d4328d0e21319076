// Package cloudwatch is CloudWatch's API over a store of metrics: putting data, listing
// metrics and reading statistics. Its methods are operations (see package wire).
//
// It owns CloudWatch's rules: limits, periods, statistics and error texts. What is kept, and
// for how long, is package metricstore's. What becomes of each field is in fidelity.txt.
//
//	cw := cloudwatch.New(store, time.Now)           // *metricstore.Store
//	service, err := wire.NewService(wire.CloudWatch, cw)
//
// # Tests
//
// They serve the package over wire to the real SDK client, which speaks CBOR, and send
// forms as older clients do.
package cloudwatch
