package cli

import (
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/berth/berth/local"
)

// Image has the commands for the host's images.
type Image struct {
	Import ImageImport `cmd:"" help:"Import images from a tar file: an OCI layout or a docker-archive (docker save)."`
	Ls     ImageLs     `cmd:"" help:"List the images."`
	Rm     ImageRm     `cmd:"" help:"Remove an image by name."`
}

// ImageImport sends an archive to the running Berth.
type ImageImport struct {
	File string `arg:"" help:"The tar file, gzipped or not; - is standard input."`
	Name string `help:"Name for an image that the archive leaves unnamed."`
}

// Run imports.
func (c ImageImport) Run(g *Globals) error {
	f := os.Stdin
	if c.File != "-" {
		var err error
		if f, err = os.Open(c.File); err != nil {
			return err
		}
		defer f.Close()
	}
	images, err := local.Dial(g.DataDir).ImportImage(g.Context, f, c.Name)
	if err != nil {
		return fmt.Errorf("import %s: %w", c.File, err)
	}
	for _, i := range images {
		fmt.Fprintf(g.Out, "%s %s\n", i.Ref, i.Digest)
	}
	return nil
}

// ImageLs lists images.
type ImageLs struct{}

// Run lists.
func (ImageLs) Run(g *Globals) error {
	images, err := local.Dial(g.DataDir).ListImages(g.Context)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(g.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "IMAGE\tDIGEST\tSIZE\tADDED")
	for _, i := range images {
		fmt.Fprintf(w, "%s\t%s\t%.1f MiB\t%s\n", i.Ref, i.Digest, float64(i.Size)/(1<<20), i.Created.Format("2006-01-02 15:04"))
	}
	return w.Flush()
}

// ImageRm removes an image's name.
type ImageRm struct {
	Image []string `arg:"" help:"The image's name."`
}

// Run removes.
func (c ImageRm) Run(g *Globals) error {
	for _, ref := range c.Image {
		if err := local.Dial(g.DataDir).RemoveImage(g.Context, ref); err != nil {
			return fmt.Errorf("remove %s: %w", ref, err)
		}
	}
	return nil
}
