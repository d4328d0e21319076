// Package e2e drives a real Berth process as its users do, with the AWS SDK
// for Go and the AWS CLI, against real containers and packets. It knows the
// binary and nothing of what is inside. Its tests need root, crun and conmon.
package e2e
