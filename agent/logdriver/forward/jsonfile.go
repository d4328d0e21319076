package forward

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/berth/berth/state"
)

// jsonFile writes lines as JSON, in a file that is rotated when the options say so.
type jsonFile struct {
	path     string
	max      int64 // bytes; 0: never rotated
	files    int
	compress bool
	attrs    map[string]string
	f        *os.File
	size     int64
}

func openJSONFile(m *message, dir string) (driver, error) {
	j := &jsonFile{path: filepath.Join(dir, filepath.Base(dir)+"-json.log")}
	if len(m.extra) > 0 {
		j.attrs = m.extra
	}
	var err error
	if text := m.option("max-size", "-1"); text != "-1" {
		if j.max, err = size(text); err != nil {
			return nil, fmt.Errorf("log option max-size: %w", err)
		}
	}
	if j.files, err = m.number("max-file", 1); err != nil {
		return nil, err
	}
	if j.files < 1 || j.files > 1 && j.max == 0 {
		return nil, errors.New("log option max-file: must be 1 or more, and more than 1 only with max-size")
	}
	if j.compress, err = m.yes("compress"); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return j, j.reopen()
}

func (j *jsonFile) reopen() (err error) {
	if j.f, err = os.OpenFile(j.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	st, err := j.f.Stat()
	if err != nil {
		return err
	}
	j.size = st.Size()
	return nil
}

// jsonLine is Docker's form of a line.
type jsonLine struct {
	Log    string            `json:"log"`
	Stream string            `json:"stream"`
	Attrs  map[string]string `json:"attrs,omitempty"`
	Time   time.Time         `json:"time"`
}

func (j *jsonFile) write(events []state.LogEvent) error {
	for _, e := range events {
		b, err := json.Marshal(jsonLine{e.Message + "\n", stream(e), j.attrs, e.Time.UTC()})
		if err != nil {
			return err
		}
		if j.max > 0 && j.size > 0 && j.size+int64(len(b)) > j.max {
			if err := j.rotate(); err != nil {
				return err
			}
		}
		n, err := j.f.Write(append(b, '\n'))
		j.size += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}

func stream(e state.LogEvent) string {
	if e.Stderr {
		return "stderr"
	}
	return "stdout"
}

// rotate moves each file one number up, and begins a new one.
func (j *jsonFile) rotate() error {
	if err := j.f.Close(); err != nil {
		return err
	}
	for n := j.files - 1; n > 0; n-- {
		from := j.numbered(n - 1)
		if n == 1 && j.compress {
			if err := pack(j.path, j.numbered(1)); err != nil {
				return err
			}
			continue
		}
		if err := os.Rename(from, j.numbered(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Remove(j.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return j.reopen()
}

func (j *jsonFile) numbered(n int) string {
	switch {
	case n == 0:
		return j.path
	case j.compress:
		return fmt.Sprintf("%s.%d.gz", j.path, n)
	}
	return fmt.Sprintf("%s.%d", j.path, n)
}

func pack(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	w := gzip.NewWriter(out)
	if _, err := io.Copy(w, in); err != nil {
		return err
	}
	return w.Close()
}

func (j *jsonFile) close() error { return j.f.Close() }
