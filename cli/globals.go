package cli

import (
	"context"
	"io"
)

// Globals are what all commands take.
type Globals struct {
	DataDir string          `name:"data-dir" default:"/var/lib/berth" env:"BERTH_DATA_DIR" help:"Where this installation keeps everything." placeholder:"DIR"`
	Context context.Context `kong:"-"`
	Out     io.Writer       `kong:"-"`
}
