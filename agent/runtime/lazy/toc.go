package lazy

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/klauspost/compress/gzip"
)

// Bounds on a table of contents: of its JSON in bytes, and of its entries.
const (
	mostTOC     = 256 << 20
	mostEntries = 2_000_000
)

// checkTOC refuses tables that the library would be harmed by: too large, or with
// hard links that lead in a circle.
func checkTOC(blob io.ReaderAt, size int64) error {
	at, footer, err := estargz.OpenFooter(io.NewSectionReader(blob, 0, size))
	if err != nil {
		return err
	}
	if at < 0 || at > size-footer {
		return fmt.Errorf("it begins at %d of %d bytes", at, size)
	}
	plain, err := gzip.NewReader(io.NewSectionReader(blob, at, size-footer-at))
	if err != nil {
		return err
	}
	defer plain.Close()
	archive := tar.NewReader(plain)
	h, err := archive.Next()
	if err != nil {
		return err
	}
	if h.Name != estargz.TOCTarName || h.Size > mostTOC {
		return fmt.Errorf("%q with %d bytes is none: it may have %d", h.Name, h.Size, mostTOC)
	}
	var toc estargz.JTOC
	if err := json.NewDecoder(archive).Decode(&toc); err != nil {
		return err
	}
	if len(toc.Entries) > mostEntries {
		return fmt.Errorf("it has %d entries, and may have %d", len(toc.Entries), mostEntries)
	}
	links := map[string]string{}
	for _, e := range toc.Entries {
		if e == nil {
			return errors.New("it has an empty entry")
		}
		if e.Type == "hardlink" {
			links[clean(e.Name)] = clean(e.LinkName)
		} else if e.Type != "chunk" {
			delete(links, clean(e.Name))
		}
	}
	for name := range links {
		steps := 0
		for to, ok := links[name]; ok; to, ok = links[to] {
			if steps++; steps > 100 {
				return fmt.Errorf("the hard link %q leads in a circle", name)
			}
		}
	}
	return nil
}

// clean is a name as the table's reader has it.
func clean(name string) string { return path.Clean("/" + name)[1:] }
