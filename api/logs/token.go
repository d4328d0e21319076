package logs

import (
	"crypto/sha256"
	"encoding/base64"

	"github.com/berth/berth/logstore"
)

// Tokens of FilterLogEvents hold direction and position, and are bound to the
// group by the first bytes of a hash.
const sumLen = 8

func sealGroupToken(group string, backward bool, p logstore.Position) string {
	text := "f" + p.String()
	if backward {
		text = "b" + p.String()
	}
	sum := sha256.Sum256([]byte("FilterLogEvents\x00" + group + "\x00" + text))
	return base64.RawURLEncoding.EncodeToString(append(sum[:sumLen:sumLen], text...))
}

func openGroupToken(group, token string) (backward bool, from *logstore.Position, err error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil && len(b) > sumLen {
		backward = b[sumLen] == 'b'
		p, err := logstore.ParsePosition(string(b[sumLen+1:]))
		if err == nil && sealGroupToken(group, backward, p) == token {
			return backward, &p, nil
		}
	}
	return false, nil, invalid("The specified nextToken is invalid.")
}
