// Package ssm is the part of AWS Systems Manager that ECS Exec's clients call:
// they take up a session whose connection broke, and end one that they can't.
// It must not know how sessions are carried; that is behind [Sessions].
//
// The service's structs are its own, since the SDK's client of SSM, of whose 150
// operations two are answered here, would be compiled for them. Package wire
// binds them by their names, as it does api/ec2's.
package ssm
