// Package eks is the EKS API of an installation that has no Kubernetes clusters: what
// can be asked is answered truly, and what would make one is refused by the ledger,
// fidelity.txt. It owns EKS's error texts, and knows wire only.
//
//	service, err := wire.NewService(wire.EKS, eks.New())
//
// # Tests
//
// They serve the package over wire to the real SDK client.
package eks
