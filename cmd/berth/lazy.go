package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/berth/berth/agent/runtime/images"
	"github.com/berth/berth/cli"
)

// lazyLayers is the process that has the mounts of layers that are still to come.
type lazyLayers struct {
	Dir string `arg:"" help:"The directory of the mounts."`
}

// Run implements the command. Whoever waits for it to be ready reads from file 3.
func (l *lazyLayers) Run(g *cli.Globals) error {
	ready := func() {
		f := os.NewFile(3, "ready")
		fmt.Fprintln(f, "ready")
		f.Close()
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	return images.ServeLazy(g.Context, l.Dir, ready, log)
}

// lazyCommand is that process's command: this program.
func lazyCommand() ([]string, error) {
	self, err := os.Executable()
	return []string{self, "lazy-layers"}, err
}
