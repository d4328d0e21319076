// Package gpu finds the host's GPUs, and knows which devices a container gets that
// was given some of them.
//
// It knows NVIDIA's device files and nothing of drivers: what programs need of
// those (libcuda and its kin) is in their images, or comes with an OCI runtime that
// mounts it by NVIDIA_VISIBLE_DEVICES, such as NVIDIA's own.
//
// Find, once; then Devices at any time. The tests make devices of their own and
// need root for that.
package gpu
