// Package runtimetest is the conformance suite of runtime.Runtime: what the real
// runtime and the one in memory must both do. Run it from a test of an
// implementation.
//
// Containers run the probe (see probe), which the suite builds into an image
// without any registry. What only a kernel can show (limits, mounts,
// capabilities …) is tested when the Subject says that it has one.
package runtimetest
