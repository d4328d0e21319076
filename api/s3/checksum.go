package s3

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"net/http"
	"strings"

	"github.com/berth/berth/blobstore"
)

// nvme is the polynomial of CRC-64/NVME, reflected.
const nvme = 0x9a6c9329ac4bc9b5

// sums are the checksums that are checked, by the end of their header's name.
func newSum(name string) hash.Hash {
	switch name {
	case "crc32":
		return crc32.NewIEEE()
	case "crc32c":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case "crc64nvme":
		return crc64.New(crc64.MakeTable(nvme))
	case "sha1":
		return sha1.New()
	case "sha256":
		return sha256.New()
	case "sha512":
		return sha512.New()
	case "md5":
		return md5.New()
	}
	return nil
}

const sumPrefix = "x-amz-checksum-"

// checked is an upload that is held to the checksums that came with it, in headers or
// after it.
type checked struct {
	in   io.Reader
	sums map[string]hash.Hash // by the name after the prefix
	want map[string]*string
}

// trailed is a body that says more once it was read.
type trailed interface{ Trailer() http.Header }

// newChecked reads body. Want are the checksums in headers, in base64; md5 is Content-MD5;
// algorithm is the one whose checksum follows the body, if any does.
func newChecked(body io.Reader, want map[string]*string, algorithm string) (*checked, error) {
	if body == nil {
		body = strings.NewReader("")
	}
	c := &checked{in: body, sums: map[string]hash.Hash{}, want: map[string]*string{}}
	for name, v := range want {
		if v != nil {
			c.want[name], c.sums[name] = v, newSum(strings.TrimPrefix(name, "content-"))
		}
	}
	if name := strings.ToLower(algorithm); name != "" {
		h := newSum(name)
		if h == nil {
			return nil, fail("InvalidRequest", "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256, SHA512, MD5]")
		}
		if c.sums[name] == nil {
			c.sums[name] = h
		}
	}
	return c, nil
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	for _, h := range c.sums {
		h.Write(p[:n]) // a hash has no errors
	}
	return n, err
}

// verify compares, after the body was read.
func (c *checked) verify() error {
	if t, ok := c.in.(trailed); ok {
		for name := range t.Trailer() {
			sum, ok := strings.CutPrefix(strings.ToLower(name), sumPrefix)
			if !ok {
				continue
			}
			if c.sums[sum] == nil {
				return fail("InvalidRequest", "The trailer "+name+" was not announced by x-amz-sdk-checksum-algorithm or x-amz-trailer, or is of an unknown algorithm.")
			}
			v := t.Trailer().Get(name)
			c.want[sum] = &v
		}
	}
	for name, want := range c.want {
		if got := c.sum(name); *want != got {
			if name == "content-md5" {
				return fail("BadDigest", "The Content-MD5 you specified did not match what we received.")
			}
			return fail("BadDigest", "The "+strings.ToUpper(name)+" you specified did not match the calculated checksum.")
		}
	}
	return nil
}

func (c *checked) sum(name string) string {
	return base64.StdEncoding.EncodeToString(c.sums[name].Sum(nil))
}

// given are the checksums that the client gave, by header, and has verified now.
func (c *checked) given() map[string]string {
	h := map[string]string{}
	for name := range c.want {
		if name != "content-md5" {
			h[sumPrefix+name] = c.sum(name)
		}
	}
	return h
}

// stage writes a body to a blob and verifies it.
func (s *Service) stage(c *checked) (*blobstore.Blob, error) {
	blob, err := s.store.Stage(c)
	if err != nil {
		return nil, err
	}
	if err := c.verify(); err != nil {
		s.store.Drop(blob)
		return nil, err
	}
	return blob, nil
}
