// Package e2e drives a real Berth process as its users do, with the AWS SDK
// for Go and the AWS CLI, against real containers and packets. It knows the
// binary and its data directory, not the parts inside. Its tests need root,
// crun and conmon.
package e2e
