// Package fidelity reads ledgers: what Berth does with each field of each
// operation of a service. It is a leaf; the ledgers themselves are
// api/<service>/fidelity.txt, next to the code that they speak of.
//
// # The ledger
//
// One decision a line: a pattern, a verdict and, but for exact, a reason in words
// for users.
//
//	RunTask                                       exact
//	RunTask.cluster                               exact
//	RunTask.overrides.containerOverrides[].**     exact
//	RunTask.overrides.taskRoleArn                 noeffect tasks get no credentials yet
//	RunTask.volumeConfigurations[].**             refused EBS volumes are not built yet
//	*Daemon*                                      unsupported daemons are not built yet
//
// A pattern without a dot is about an operation: it is exact (built, its fields
// have lines of their own) or unsupported (answers 501). The others are about
// fields: exact, refused, or noeffect (accepted, and nothing comes of it).
//
// A path is the operation and the members down to a leaf, as AWS writes them.
// Members of lists follow "[]", of maps "{}"; a list of strings is "command[]",
// a map of strings "options{}". The variants of a union follow it as members
// would: "configuration.alb.name"; since Go can't list them, a line for the
// union itself counts for what is in it. So does a line for a field that leads
// back into its own type.
//
// In patterns "*" stands for any characters within one name and "**" for any
// number of names, none included. Where several patterns match, the one with
// fewer "**" counts, then the one with more literal characters. Lines that begin
// with # are comments. The line "@members upper" says that members are written
// with the capital of their Go field, as EC2 and other query services do.
//
// # Use
//
//	l := fidelity.MustParse("ecs", text)
//	problems := l.Audit(fidelity.Inputs((*ecs.Client)(nil)))    // in a test: must be empty
//	problems = l.AuditMethods(inputs, (*Service)(nil))          // likewise
//	for _, r := range l.Refusals("RunTask", in) { … }           // for each request
//
// A service's Check method, which package wire calls before each operation,
// turns the first refusal into the service's own error. docs/fidelity.md is
// written by cmd/fidelity, whose test fails when the document is stale.
package fidelity
