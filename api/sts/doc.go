// Package sts is the part of AWS's Security Token Service that every client
// calls first: GetCallerIdentity. The other operations answer 501 (package
// wire) until there are roles. It may know wire and internal, and has no state:
// who asks is what the signature says.
//
// fidelity.txt says what becomes of each operation. Tests go through package
// wire with the SDK's own client.
package sts
