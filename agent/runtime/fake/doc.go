// Package fake is runtime.Runtime in memory, for tests and simulation: it starts
// no processes and needs no privileges, no image store and no network.
//
// What a container would run is a Go function, found by its command's first
// word. Nothing is interpreted: a command for which there is no function fails to
// start as a missing program does. Mounts, limits, capabilities and network
// namespaces are taken and have no effect.
//
// Time is Go's, so that testing/synctest can drive it. Output is written to files
// as the real runtime writes it.
package fake
