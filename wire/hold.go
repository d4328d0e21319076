package wire

import (
	"io"
	"net/http"
	"slices"
	"strconv"
)

// Bodies are held whole until their request is answered, and those of callers who
// have not proved who they are too: a signature covers the body. So all requests
// together may hold so much; of each a small part doesn't count, so that small
// requests pass whatever others hold.
const (
	maxHeld   = 8 * maxBody
	smallBody = 256 << 10
)

// holding counts the bytes that one request's body holds, as they come: who
// announces much and sends little takes little from others.
type holding struct {
	server *Server
	n      int64
}

// release gives back what was taken.
func (h *holding) release() { h.server.held.Add(-h.n) }

// readAll reads a body of at most maxBody bytes. The error is an *answer.
func (h *holding) readAll(body io.Reader) ([]byte, error) {
	var b []byte
	for limited := io.LimitReader(body, maxBody+1); ; {
		b = slices.Grow(b, 512)
		n, err := limited.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if len(b) > smallBody {
			h.n += int64(n)
			if h.server.held.Add(int64(n)) > maxHeld {
				// Clients try again.
				return nil, badBody(http.StatusServiceUnavailable, "ServiceUnavailable", "Too many large requests at once: try again")
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, badBody(http.StatusBadRequest, "IncompleteBody", "The request body could not be read to its end")
		}
	}
	if len(b) > maxBody {
		return nil, badBody(http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException",
			"The request body exceeds "+strconv.Itoa(maxBody)+" bytes")
	}
	return b, nil
}
