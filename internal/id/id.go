// Package id makes the identifiers that AWS APIs show: random, and of AWS's forms.
package id

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// Hex returns n random bytes as 2n lower-case hexadecimal digits. ECS task and
// container instance IDs are Hex(16).
func Hex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails, see crypto/rand
	return hex.EncodeToString(b)
}

// Resource returns an EC2-style resource ID: the prefix, a dash and 17
// hexadecimal digits, as in eni-0a1b2c3d4e5f67890.
func Resource(prefix string) string { return prefix + "-0" + Hex(8) }

// UUID returns a random (version 4) UUID, the form of request and attachment IDs.
func UUID() string {
	b := make([]byte, 16)
	rand.Read(b)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Digits returns n random decimal digits, the first of them not zero: the form
// of the IDs of deployments (19), service deployments and revisions.
func Digits(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	for i := range b {
		b[i] = '0' + b[i]%10
	}
	if b[0] == '0' {
		b[0] = '1'
	}
	return string(b)
}
