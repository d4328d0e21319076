package fake

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// pieceSize is how long a line may be before it is cut, like conmon's.
const pieceSize = 8 << 10

// output writes lines in the CRI's format.
type output struct {
	mu   sync.Mutex
	file *os.File
	open []string // streams whose last piece had no newline
}

func (o *output) stream(name string) io.Writer { return &stream{o, name} }

type stream struct {
	to   *output
	name string
}

func (s *stream) Write(data []byte) (int, error) {
	s.to.mu.Lock()
	defer s.to.mu.Unlock()
	s.to.close(s.name)
	for rest := data; len(rest) > 0; {
		piece, tag, skip := rest, "P", 0
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			piece, tag, skip = rest[:i], "F", 1
		}
		if len(piece) > pieceSize {
			piece, tag, skip = piece[:pieceSize], "P", 0
		}
		if err := s.to.line(s.name, tag, piece); err != nil {
			return 0, err
		}
		rest = rest[len(piece)+skip:]
		if tag == "P" && len(rest) == 0 {
			s.to.open = append(s.to.open, s.name)
		}
	}
	return len(data), nil
}

func (o *output) line(stream, tag string, text []byte) error {
	_, err := fmt.Fprintf(o.file, "%s %s %s %s\n", time.Now().Format(time.RFC3339Nano), stream, tag, text)
	return err
}

// close notes that a stream goes on after a piece without newline.
func (o *output) close(stream string) {
	for i, name := range o.open {
		if name == stream {
			o.open = append(o.open[:i], o.open[i+1:]...)
			return
		}
	}
}

// Close ends all lines and the file.
func (o *output) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, name := range o.open {
		o.line(name, "F", nil)
	}
	o.file.Close()
}

// head keeps the first bytes that are written to it.
type head struct {
	mu   sync.Mutex
	text []byte
}

// maxOutput is how much of a command's output Exec returns.
const maxOutput = 4 << 10

func (h *head) Write(data []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text = append(h.text, data[:min(len(data), maxOutput-len(h.text))]...)
	return len(data), nil
}

func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return string(h.text)
}
