package logstore

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
)

var seqKey, versionKey = []byte{'n'}, []byte{'v'}

// be writes a number so that bytes sort as numbers do.
func be(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func number(b []byte) (uint64, bool) {
	if len(b) != 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(b), true
}

// numbers makes a key of a kind and numbers.
func numbers(kind byte, n ...uint64) []byte {
	k := make([]byte, 1, 1+8*len(n))
	k[0] = kind
	for _, x := range n {
		k = binary.BigEndian.AppendUint64(k, x)
	}
	return k
}

func groupKey(scope Scope, name string) []byte {
	return []byte("g" + scope.Account + "\x00" + scope.Region + "\x00" + name)
}

func streamKey(group uint64, name string) []byte { return append(numbers('s', group), name...) }

func cursorKey(group, stream uint64, source string) []byte {
	return append(numbers('c', group, stream), source...)
}

// docPrefix begins the keys of the records of a kind, beside a group or, where
// that is 0, a scope.
func docPrefix(scope Scope, group uint64, kind string) []byte {
	k := numbers('d', group)
	if group == 0 {
		k = []byte("q" + scope.Account + "\x00" + scope.Region + "\x00")
	}
	return append(k, kind+"\x00"...)
}

func docKey(prefix []byte, name string) []byte {
	return append(prefix[:len(prefix):len(prefix)], name...)
}

const eventKeyLen = 1 + 4*8

// stamp maps times to numbers of the same order; times before 1970 too.
func stamp(ms int64) uint64 { return uint64(ms) ^ 1<<63 }

func unstamp(n uint64) int64 { return int64(n ^ 1<<63) }

// putEventKey writes an event's key to k, which has eventKeyLen bytes.
func putEventKey(k []byte, group, stream uint64, p Position) {
	k[0] = 'e'
	binary.BigEndian.PutUint64(k[1:], group)
	binary.BigEndian.PutUint64(k[9:], stream)
	binary.BigEndian.PutUint64(k[17:], stamp(p.Time))
	binary.BigEndian.PutUint64(k[25:], p.Seq)
}

func eventKey(group, stream uint64, p Position) []byte {
	k := make([]byte, eventKeyLen)
	putEventKey(k, group, stream, p)
	return k
}

// eventPosition is the position in an event's key.
func eventPosition(k []byte) Position {
	return Position{Time: unstamp(binary.BigEndian.Uint64(k[17:])), Seq: binary.BigEndian.Uint64(k[25:])}
}

// Position is a place between events: just before the event of that time (in
// milliseconds since 1970) and sequence number, if there is one, and behind all
// events before it.
type Position struct {
	Time int64
	Seq  uint64
}

// start and end are the positions before and behind all events.
var (
	start = Position{Time: math.MinInt64}
	end   = Position{Time: math.MaxInt64, Seq: math.MaxUint64}
)

// Before reports whether p comes before q.
func (p Position) Before(q Position) bool {
	return p.Time < q.Time || p.Time == q.Time && p.Seq < q.Seq
}

// String returns the position as 56 digits, the length of AWS's tokens. Times
// before 1970 have none.
func (p Position) String() string { return fmt.Sprintf("%020d%036d", p.Time, p.Seq) }

// ParsePosition reads what String wrote.
func ParsePosition(s string) (Position, error) {
	var p Position
	if len(s) != 56 {
		return p, fmt.Errorf("%q is not a position: it has %d digits, not 56", s, len(s))
	}
	var err error
	if p.Time, err = strconv.ParseInt(s[:20], 10, 64); err != nil || p.Time < 0 {
		return p, fmt.Errorf("%q is not a position: its time is not a number", s)
	}
	if p.Seq, err = strconv.ParseUint(s[20:], 10, 64); err != nil {
		return p, fmt.Errorf("%q is not a position: its sequence number is not a number", s)
	}
	return p, nil
}
