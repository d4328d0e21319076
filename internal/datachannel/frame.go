package datachannel

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The types of frames.
const (
	Input       = "input_stream_data"  // from client to service
	Output      = "output_stream_data" // from service to client
	acknowledge = "acknowledge"
	closed      = "channel_closed"
	start       = "start_publication"
	pause       = "pause_publication"
)

// headerLength is what a frame says its header's length to be: up to, and
// without, the length of the payload that ends it.
const (
	typeLength   = 32
	digestOffset = 80
	headerLength = 116
	minFrame     = headerLength + 4
)

// MaxPayload is the most bytes of a payload that are taken. The plugin's own
// are of 1 KiB, and the service's here of PayloadSize.
const MaxPayload = 64 << 10

// PayloadSize is how much of a stream goes into one frame.
const PayloadSize = 8 << 10

// Frame is one message of a data channel. Numbers are big-endian:
//
//	offset  bytes
//	0       4   length of the header, 116
//	4       32  type, filled up with spaces
//	36      4   schema version, 1
//	40      8   created, milliseconds since 1970
//	48      8   sequence number, of the sender's stream, from 0
//	56      8   flags
//	64      16  message ID, a UUID with its halves exchanged
//	80      32  SHA-256 of the payload
//	112     4   type of the payload
//	116     4   length of the payload
//	120         payload
type Frame struct {
	Type     string
	Created  time.Time // to the millisecond
	Sequence int64
	Flags    uint64
	ID       [16]byte
	Kind     Kind
	Payload  []byte
}

// newID is a random UUID.
func newID() (id [16]byte) {
	rand.Read(id[:])
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

func uuid(id [16]byte) string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// Encode returns the frame's bytes.
func (f *Frame) Encode() []byte {
	b := make([]byte, minFrame, minFrame+len(f.Payload))
	be := binary.BigEndian
	be.PutUint32(b, headerLength)
	copy(b[4:4+typeLength], f.Type+strings.Repeat(" ", typeLength))
	be.PutUint32(b[36:], 1)
	be.PutUint64(b[40:], uint64(f.Created.UnixMilli()))
	be.PutUint64(b[48:], uint64(f.Sequence))
	be.PutUint64(b[56:], f.Flags)
	copy(b[64:], f.ID[8:])
	copy(b[72:], f.ID[:8])
	digest := sha256.Sum256(f.Payload)
	copy(b[digestOffset:], digest[:])
	be.PutUint32(b[112:], uint32(f.Kind))
	be.PutUint32(b[116:], uint32(len(f.Payload)))
	return append(b, f.Payload...)
}

// Decode reads a frame. Its payload is b's memory. It takes no frame of which a
// byte is missing, too many, or changed.
func Decode(b []byte) (Frame, error) {
	if len(b) < minFrame {
		return Frame{}, fmt.Errorf("a frame of %d bytes: the shortest has %d", len(b), minFrame)
	}
	be := binary.BigEndian
	if n := be.Uint32(b); n != headerLength {
		return Frame{}, fmt.Errorf("a frame with a header of %d bytes: it must be %d", n, headerLength)
	}
	f := Frame{
		Type:     strings.TrimSpace(string(bytes.Trim(b[4:4+typeLength], "\x00"))),
		Created:  time.UnixMilli(int64(be.Uint64(b[40:]))),
		Sequence: int64(be.Uint64(b[48:])),
		Flags:    be.Uint64(b[56:]),
		Kind:     Kind(be.Uint32(b[112:])),
		Payload:  b[minFrame:],
	}
	copy(f.ID[8:], b[64:72])
	copy(f.ID[:8], b[72:80])
	if f.Type == "" {
		return Frame{}, errors.New("a frame without a type")
	}
	if n := be.Uint32(b[116:]); int64(n) != int64(len(f.Payload)) {
		return Frame{}, fmt.Errorf("a frame with %d bytes of payload that says %d", len(f.Payload), n)
	}
	if len(f.Payload) > MaxPayload {
		return Frame{}, fmt.Errorf("a payload of %d bytes: the most is %d", len(f.Payload), MaxPayload)
	}
	// The service sends some control frames without payload and digest.
	if digest := sha256.Sum256(f.Payload); len(f.Payload) > 0 && !bytes.Equal(digest[:], b[digestOffset:digestOffset+sha256.Size]) {
		return Frame{}, errors.New("a payload that is not what its digest says")
	}
	return f, nil
}
