package wire

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"
)

// The values of x-amz-content-sha256 that are not the digest of the body. From "Signature
// calculations for the Authorization header: transferring a payload in multiple chunks"
// in the Amazon S3 API Reference.
const (
	unsignedPayload = "UNSIGNED-PAYLOAD"
	unsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	signedChunks    = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	signedTrailer   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
)

// maxChunk is the largest chunk of an upload, in bytes: a signed one is held until its
// signature is known to be right. Clients send 64 KiB to 16 MiB.
const maxChunk = 16 << 20

var (
	errIncomplete = badBody(http.StatusBadRequest, "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header")
	errChunk      = badBody(http.StatusBadRequest, "IncompleteBody", "The request body has not the form of chunks that x-amz-content-sha256 announces")
	errDigest     = badBody(http.StatusBadRequest, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.")
	errSignature  = badBody(http.StatusForbidden, "SignatureDoesNotMatch", textMismatch)
)

// chunkKey signs the chunks of one upload.
type chunkKey struct {
	key      []byte
	time     string
	scope    string
	previous string // the signature before, in hexadecimal
}

// next returns the signature that follows. What is "PAYLOAD" for a chunk and "TRAILER"
// for the trailing headers.
func (k *chunkKey) next(what string, digests ...string) string {
	lines := append([]string{algorithm + "-" + what, k.time, k.scope, k.previous}, digests...)
	k.previous = hex.EncodeToString(sign(k.key, strings.Join(lines, "\n")))
	return k.previous
}

// Upload is the stream of bytes of an input, such as PutObject's Body. Its reader sees
// io.EOF only when all has come that the request announced and signed; any other error
// is the client's, to be returned as it is.
type Upload struct {
	source  io.Reader
	trailer http.Header
}

// Read implements io.Reader.
func (u *Upload) Read(p []byte) (int, error) { return u.source.Read(p) }

// Close implements io.Closer. The server closes the connection.
func (u *Upload) Close() error { return nil }

// Trailer returns the headers that came after the body, once that was read to its end.
func (u *Upload) Trailer() http.Header { return u.trailer }

// newUpload returns the body of r, to be read to its end by the operation. The error
// is an *answer. Key checks the signatures of chunks; nil does not.
func newUpload(w http.ResponseWriter, r *request, key *chunkKey) (*Upload, error) {
	u := &Upload{trailer: http.Header{}}
	raw := &patient{r.Body, http.NewResponseController(w)}
	u.source = raw
	claimed := r.Header.Get("X-Amz-Content-Sha256")
	switch claimed {
	case "", unsignedPayload:
	case unsignedTrailer, signedChunks, signedTrailer:
		n, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64)
		if err != nil || n < 0 {
			return nil, badBody(http.StatusLengthRequired, "MissingContentLength", "You must provide the x-amz-decoded-content-length HTTP header.")
		}
		c := &chunks{in: bufio.NewReader(raw), left: n, signed: claimed != unsignedTrailer, trailing: claimed != signedChunks, key: key, trailer: u.trailer}
		u.source = c
	default:
		want, err := hex.DecodeString(claimed)
		if err != nil || len(want) != sha256.Size {
			return nil, badBody(http.StatusBadRequest, "InvalidArgument", "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, "+unsignedTrailer+", "+signedChunks+", "+signedTrailer+" or a valid sha256 value.")
		}
		u.source = &digested{in: raw, want: want, hash: sha256.New()}
	}
	return u, nil
}

// patient gives the client time for each piece of a body.
type patient struct {
	in      io.Reader
	control *http.ResponseController
}

func (p *patient) Read(b []byte) (int, error) {
	// What is no connection (a test's recorder) has no deadlines.
	if err := p.control.SetReadDeadline(time.Now().Add(streamTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, errIncomplete
	}
	n, err := p.in.Read(b)
	if err != nil && err != io.EOF {
		err = errIncomplete
	}
	return n, err
}

// digested holds a body to its digest.
type digested struct {
	in   io.Reader
	want []byte
	hash hash.Hash
}

func (d *digested) Read(b []byte) (int, error) {
	n, err := d.in.Read(b)
	d.hash.Write(b[:n])
	if err == io.EOF && !bytes.Equal(d.hash.Sum(nil), d.want) {
		err = errDigest
	}
	return n, err
}

// chunks reads aws-chunked: "<size in hex>[;chunk-signature=<hex>]\r\n<bytes>\r\n", a last
// chunk of no bytes, and trailing headers.
type chunks struct {
	in       *bufio.Reader
	left     int64 // of the decoded body
	signed   bool
	trailing bool
	key      *chunkKey
	trailer  http.Header
	chunk    io.Reader // the rest of the one being read; nil between chunks
	size     int64     // of that, what is not read yet
	err      error
}

func (c *chunks) Read(b []byte) (int, error) {
	for c.err == nil && c.size == 0 {
		c.err = c.open()
	}
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.chunk.Read(b[:min(int64(len(b)), c.size)])
	c.size -= int64(n)
	if err != nil && (err != io.EOF || c.size > 0) {
		c.err = errIncomplete
		return n, c.err
	}
	if c.size == 0 && !c.signed {
		c.err = c.newline()
	}
	return n, c.err
}

// open reads the head of the next chunk, and all of it where it is signed. At the end
// it returns io.EOF.
func (c *chunks) open() error {
	line, err := c.line()
	if err != nil {
		return err
	}
	text, extension, _ := strings.Cut(line, ";")
	size, err := strconv.ParseInt(text, 16, 64)
	if err != nil || size < 0 || size > c.left {
		return errChunk
	}
	c.left -= size
	c.size, c.chunk = size, c.in
	if !c.signed && size > 0 {
		return nil
	}
	if size > maxChunk {
		return errChunk
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(c.in, body); err != nil {
		return errIncomplete
	}
	c.chunk = bytes.NewReader(body)
	if c.signed {
		signature, ok := strings.CutPrefix(extension, "chunk-signature=")
		empty, digest := sha256.Sum256(nil), sha256.Sum256(body)
		if !ok || c.key != nil && c.key.next("PAYLOAD", hex.EncodeToString(empty[:]), hex.EncodeToString(digest[:])) != signature {
			return errSignature
		}
	}
	if size > 0 {
		return c.newline()
	}
	return c.end()
}

// end reads what follows the last chunk.
func (c *chunks) end() error {
	if c.left > 0 {
		return errIncomplete
	}
	if !c.trailing {
		if err := c.newline(); err != nil {
			return err
		}
		return io.EOF
	}
	var signedLines strings.Builder
	signature := ""
	for range 32 {
		line, err := c.line()
		if err == errIncomplete && line == "" && !c.signed {
			break // some clients leave out the last empty line
		}
		if err != nil {
			return err
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return errChunk
		}
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if name == "x-amz-trailer-signature" {
			signature = value
			continue
		}
		c.trailer.Add(textproto.CanonicalMIMEHeaderKey(name), value)
		signedLines.WriteString(name + ":" + value + "\n")
	}
	if c.signed && c.key != nil {
		digest := sha256.Sum256([]byte(signedLines.String()))
		if c.key.next("TRAILER", hex.EncodeToString(digest[:])) != signature {
			return errSignature
		}
	}
	return io.EOF
}

// line reads one line, of no more than the buffer holds.
func (c *chunks) line() (string, error) {
	b, err := c.in.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		return "", errChunk
	}
	line := strings.TrimRight(string(b), "\r\n")
	if err != nil {
		return line, errIncomplete
	}
	return line, nil
}

func (c *chunks) newline() error {
	line, err := c.line()
	if err == nil && line != "" {
		return errChunk
	}
	if err != nil {
		return errIncomplete
	}
	return nil
}
