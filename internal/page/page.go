// Package page cuts sorted lists into pages with opaque tokens.
//
// A token holds the key of the last item given, not a position: it stays right
// when items come and go between two calls. Tokens are bound to the call they
// were made for and say so when they are not one of ours.
package page

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"sort"
)

// ErrToken is returned for a token that was not made by Cut for the same list.
var ErrToken = errors.New("invalid nextToken")

const sumLen = 8

// Cut returns the items that follow token, at most limit of them, and the
// token of the next page, empty where none follows. items must be sorted by
// key. list names the call and what it lists ("ListTasks/default"): a token
// from another list gives ErrToken.
func Cut[T any](items []T, key func(T) string, list, token string, limit int) ([]T, string, error) {
	start := 0
	if token != "" {
		last, err := open(list, token)
		if err != nil {
			return nil, "", err
		}
		start = sort.Search(len(items), func(i int) bool { return key(items[i]) > last })
	}
	items = items[start:]
	if limit <= 0 || len(items) <= limit {
		return items, "", nil
	}
	return items[:limit], seal(list, key(items[limit-1])), nil
}

// After returns the key behind which the page of a token begins, "" for that of
// none. A caller with long lists gives Cut only items from there on, one more than
// its limit.
func After(list, token string) (string, error) {
	if token == "" {
		return "", nil
	}
	return open(list, token)
}

func seal(list, last string) string {
	sum := sha256.Sum256([]byte(list + "\x00" + last))
	return base64.RawURLEncoding.EncodeToString(append(sum[:sumLen:sumLen], last...))
}

func open(list, token string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) < sumLen {
		return "", ErrToken
	}
	last := string(b[sumLen:])
	if seal(list, last) != token {
		return "", ErrToken
	}
	return last, nil
}
