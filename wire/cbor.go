package wire

import (
	"errors"
	"math"
	"net/http"

	"github.com/aws/smithy-go"
)

// cborSyntax is rpcV2Cbor: POST /service/<target>/operation/<name>, CBOR both ways.
type cborSyntax struct{}

func (cborSyntax) reader(r *request) (reader, error) {
	if len(r.body) == 0 {
		return &cborReader{value: cborMap{}, fresh: true}, nil
	}
	v, err := parseCBOR(r.body)
	if err != nil {
		return nil, err
	}
	return &cborReader{value: v, fresh: true}, nil
}

func (cborSyntax) output(w http.ResponseWriter, _ *request, body func(smithy.ShapeSerializer)) {
	cw := &cborWriter{}
	cw.open('{')
	body(cw)
	cw.shut()
	sendCBOR(w, http.StatusOK, cw.buf)
}

// failure writes __type and the members of a modeled error. A client of a service
// that once spoke awsQuery knows errors by the codes of that, which it is told too.
func (cborSyntax) failure(w http.ResponseWriter, r *request, e *answer) {
	cw := &cborWriter{}
	cw.open('{')
	cw.text("__type")
	cw.text(e.code)
	if e.members != nil {
		e.members(cw)
	} else if e.message != "" {
		cw.text("message")
		cw.text(e.message)
	}
	cw.shut()
	queryError(w, r, e)
	sendCBOR(w, e.status, cw.buf)
}

func (cborSyntax) document(*request) (smithy.ShapeSerializer, string) {
	return &cborWriter{}, "application/cbor"
}

func sendCBOR(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	send(w, status, "application/cbor", body)
}

// cborMap has the pairs of a map, in order.
type cborMap []cborPair

type cborPair struct {
	key   string
	value any
}

// cborInt is -1-n where negative, else n.
type cborInt struct {
	negative bool
	n        uint64
}

type cborTag struct {
	tag   uint64
	value any
}

// cborParser reads RFC 8949 into cborInt, []byte, string, []any, cborMap, cborTag,
// bool, float64 and nil. Values claim no more memory than the input has bytes for.
type cborParser struct {
	data  []byte
	depth int
}

var (
	errCBOREnd   = errors.New("The CBOR value ends too early")
	errCBORForm  = errors.New("The request body is not well-formed CBOR")
	errCBORDepth = errors.New("The request is nested too deeply")
	errCBORKey   = errors.New("A CBOR map has a key that is not a string")
	errCBORText  = errors.New("A CBOR string is not valid UTF-8")
	errCBORMore  = errors.New("The request body goes on after its CBOR value")
)

// parseCBOR reads exactly one value.
func parseCBOR(b []byte) (any, error) {
	p := &cborParser{data: b}
	v, err := p.value()
	if err == nil && len(p.data) > 0 {
		err = errCBORMore
	}
	return v, err
}

// head reads a value's major type and argument. Indefinite is the marker of lengths that
// are not told; it comes with info 31 alone.
func (p *cborParser) head() (major, info byte, arg uint64, err error) {
	if len(p.data) == 0 {
		return 0, 0, 0, errCBOREnd
	}
	major, info = p.data[0]>>5, p.data[0]&31
	p.data = p.data[1:]
	switch {
	case info < 24:
		return major, info, uint64(info), nil
	case info <= 27:
		n := 1 << (info - 24)
		if len(p.data) < n {
			return 0, 0, 0, errCBOREnd
		}
		for _, b := range p.data[:n] {
			arg = arg<<8 | uint64(b)
		}
		p.data = p.data[n:]
		return major, info, arg, nil
	case info == 31 && (major >= 2 && major <= 5 || major == 7):
		return major, info, 0, nil
	}
	return 0, 0, 0, errCBORForm
}

func (p *cborParser) value() (any, error) {
	major, info, arg, err := p.head()
	if err != nil {
		return nil, err
	}
	if p.depth++; p.depth > maxDepth {
		return nil, errCBORDepth
	}
	defer func() { p.depth-- }()
	switch major {
	case 0, 1:
		return cborInt{major == 1, arg}, nil
	case 2:
		return p.bytes(major, info, arg)
	case 3:
		b, err := p.bytes(major, info, arg)
		if err != nil {
			return nil, err
		}
		return validText(b)
	case 4:
		list := []any{}
		err := p.items(info, arg, func() error {
			v, err := p.value()
			list = append(list, v)
			return err
		})
		return list, err
	case 5:
		m := cborMap{}
		err := p.items(info, arg, func() error {
			k, err := p.value()
			if err != nil {
				return err
			}
			key, ok := k.(string)
			if !ok {
				return errCBORKey
			}
			v, err := p.value()
			m = append(m, cborPair{key, v})
			return err
		})
		return m, err
	case 6:
		v, err := p.value()
		return cborTag{arg, v}, err
	}
	return simple(info, arg)
}

// bytes reads a string of either kind, in one piece or in chunks.
func (p *cborParser) bytes(kind, info byte, arg uint64) ([]byte, error) {
	if info != 31 {
		if arg > uint64(len(p.data)) {
			return nil, errCBOREnd
		}
		b := p.data[:arg]
		p.data = p.data[arg:]
		return b, nil
	}
	all := []byte{}
	err := p.items(info, 0, func() error {
		major, info, arg, err := p.head()
		if err != nil {
			return err
		}
		if major != kind || info == 31 {
			return errCBORForm
		}
		b, err := p.bytes(kind, info, arg)
		all = append(all, b...)
		return err
	})
	return all, err
}

// items calls read for each of n items, or until the break.
func (p *cborParser) items(info byte, n uint64, read func() error) error {
	if info != 31 {
		if n > uint64(len(p.data)) {
			return errCBOREnd
		}
		for range n {
			if err := read(); err != nil {
				return err
			}
		}
		return nil
	}
	for {
		if len(p.data) == 0 {
			return errCBOREnd
		}
		if p.data[0] == 0xff {
			p.data = p.data[1:]
			return nil
		}
		if err := read(); err != nil {
			return err
		}
	}
}

// simple is what major type 7 says.
func simple(info byte, arg uint64) (any, error) {
	switch info {
	case 20, 21:
		return info == 21, nil
	case 22, 23: // null and undefined
		return nil, nil
	case 25:
		return halfFloat(uint16(arg)), nil
	case 26:
		return float64(math.Float32frombits(uint32(arg))), nil
	case 27:
		return math.Float64frombits(arg), nil
	}
	return nil, errCBORForm
}

// halfFloat is RFC 8949's appendix D.
func halfFloat(h uint16) float64 {
	exponent, mantissa := int(h>>10&31), float64(h&1023)
	var v float64
	switch exponent {
	case 0:
		v = math.Ldexp(mantissa, -24)
	case 31:
		if v = math.Inf(1); mantissa != 0 {
			v = math.NaN()
		}
	default:
		v = math.Ldexp(mantissa+1024, exponent-25)
	}
	if h>>15 == 1 {
		return -v
	}
	return v
}
