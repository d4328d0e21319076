package datachannel

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
	"time"
)

// The frames are as AWS's plugin writes them.
var frames = []struct {
	frame Frame
	hex   string
}{
	{
		Frame{Type: Input, Created: time.UnixMilli(1700000000123), Sequence: 7, ID: id("00112233445546778899aabbccddeeff"), Kind: Data, Payload: []byte("ls -l\r")},
		"00000074696e7075745f73747265616d5f64617461202020202020202020202020202020000000010000018bcfe5687b0000000000000007" +
			"00000000000000008899aabbccddeeff001122334455467736" + "74c13c3eb42ef32effd127a689c6118191a811bca335ffa3f509eff051d253" +
			"00000001000000066c73202d6c0d",
	},
	{
		Frame{Type: acknowledge, Created: time.UnixMilli(1700000000123), Flags: 3, ID: id("00112233445546778899aabbccddeeff"), Payload: []byte("{}")},
		"0000007461636b6e6f776c65646765202020202020202020202020202020202020202020000000010000018bcfe5687b0000000000000000" +
			"00000000000000038899aabbccddeeff001122334455467744136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" +
			"00000000000000027b7d",
	},
}

func id(s string) (id [16]byte) {
	hex.Decode(id[:], []byte(s))
	return id
}

func TestFrame(t *testing.T) {
	for _, test := range frames {
		if got := hex.EncodeToString(test.frame.Encode()); got != test.hex {
			t.Errorf("Encode(%+v)\n got %s\nwant %s", test.frame, got, test.hex)
		}
		b, err := hex.DecodeString(test.hex)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Decode(b); err != nil || !reflect.DeepEqual(got, test.frame) {
			t.Errorf("Decode(%s) = %+v, %v", test.hex, got, err)
		}
	}
	if got := uuid(frames[0].frame.ID); got != "00112233-4455-4677-8899-aabbccddeeff" {
		t.Errorf("uuid = %s", got)
	}
	f := frames[0].frame
	for name, test := range map[string]struct {
		change func(b []byte) []byte
		want   string
	}{
		"empty":          {func(b []byte) []byte { return nil }, "0 bytes"},
		"cut off":        {func(b []byte) []byte { return b[:minFrame-1] }, "119 bytes"},
		"payload cut":    {func(b []byte) []byte { return b[:len(b)-1] }, "5 bytes of payload that says 6"},
		"too long":       {func(b []byte) []byte { return append(b, 0) }, "7 bytes of payload that says 6"},
		"header":         {func(b []byte) []byte { b[3]++; return b }, "header of 117"},
		"no type":        {func(b []byte) []byte { copy(b[4:36], make([]byte, 32)); return b }, "without a type"},
		"payload change": {func(b []byte) []byte { b[minFrame]++; return b }, "digest"},
		"digest change":  {func(b []byte) []byte { b[digestOffset]++; return b }, "digest"},
		"huge": {func([]byte) []byte {
			f := f
			f.Payload = make([]byte, MaxPayload+1)
			return f.Encode()
		}, "the most is"},
	} {
		if _, err := Decode(test.change(f.Encode())); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	// The service's control frames have neither payload nor digest.
	b := (&Frame{Type: pause, Created: time.UnixMilli(0)}).Encode()
	copy(b[digestOffset:], make([]byte, 32))
	if f, err := Decode(b); err != nil || f.Type != pause {
		t.Errorf("%+v, %v", f, err)
	}
}

// Whatever is taken, is what writing it again gives, but for padding and
// schema version, which say nothing.
func FuzzDecode(f *testing.F) {
	for _, test := range frames {
		f.Add(test.frame.Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Decode(b)
		if err != nil {
			return
		}
		if len(got.Type) > typeLength || strings.TrimSpace(got.Type) == "" {
			t.Fatalf("type %q", got.Type)
		}
		again, err := Decode(got.Encode())
		if err != nil || !bytes.Equal(again.Payload, got.Payload) || again.Sequence != got.Sequence || again.Kind != got.Kind ||
			again.ID != got.ID || again.Flags != got.Flags || again.Created.UnixMilli() != got.Created.UnixMilli() {
			t.Fatalf("%+v, then %+v, %v", got, again, err)
		}
	})
}
