package crun

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/internal/wholefile"
)

// engine is an OCI runtime: crun, runc or runsc (gVisor), or another that takes
// the same arguments as runc.
type engine struct {
	path  string
	kind  kind
	state string   // the directory of what it keeps
	copy  *os.File // of crun in memory, which is run instead; or nil
	// retired ones have containers, but get no new ones.
	retired bool
}

// kind is what an OCI runtime can do otherwise than runc.
type kind int

const (
	plain kind = iota // runc, and those like it
	isCrun
	isRunsc
)

// findEngine finds the program of an OCI runtime, and by its name what it is.
func findEngine(path, state string, log *slog.Logger, names ...string) (*engine, error) {
	e := &engine{state: state}
	var err error
	if e.path, err = program(path, names...); err != nil {
		return nil, err
	}
	switch name := filepath.Base(e.path); {
	case strings.HasPrefix(name, "crun"):
		e.kind = isCrun
		if e.copy, err = sealed(e.path); err != nil {
			log.Info("containers start slower", "because", err)
		}
	case strings.HasPrefix(name, "runsc"):
		e.kind = isRunsc
		if out, err := exec.Command(e.path, append(e.args(), "--version")...).CombinedOutput(); err != nil {
			said, _, _ := strings.Cut(string(out), "\n")
			return nil, fmt.Errorf("%s can't be used: %w: %s (another version of gVisor may)", e.path, err, said)
		}
	}
	return e, nil
}

func (e *engine) name() string { return filepath.Base(e.path) }

// program is what to run for it.
func (e *engine) program() string {
	if e.copy != nil {
		return ofSelf(e.copy)
	}
	return e.path
}

// args come before each of its commands.
func (e *engine) args() []string {
	args := []string{"--root=" + e.state}
	switch e.kind {
	case isCrun:
		args = append(args, "--cgroup-manager=cgroupfs")
	case isRunsc:
		args = append(args, runscArgs...)
	}
	return args
}

// has tells whether it keeps something of a container, which `delete` removes.
func (e *engine) has(id string) bool {
	if e.kind == isRunsc {
		return exists(filepath.Join(e.state, id+"_sandbox:"+id+".state"))
	}
	return exists(filepath.Join(e.state, id))
}

func (e *engine) Close() { e.copy.Close() }

// engine is the OCI runtime of that name; empty is the first.
func (r *Runtime) engine(name string) *engine {
	if e := r.engines[name]; e != nil {
		return e
	}
	return r.oci
}

// findEngines finds the OCI runtimes that there are to be.
func (r *Runtime) findEngines(c Config) error {
	var err error
	if r.oci, err = findEngine(c.CrunPath, filepath.Join(r.root, stateDir), c.Log, "crun", "runc"); err != nil {
		return err
	}
	r.engines = map[string]*engine{}
	for name, path := range c.Runtimes {
		if err := runtime.CheckID("OCI runtime's", name); err != nil {
			return err
		}
		e, err := findEngine(path, r.stateOf(name), c.Log, path)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(e.state, 0o711); err != nil {
			return fmt.Errorf("make the directory of %s: %w", name, err)
		}
		if err := wholefile.Write(filepath.Join(e.state, programFile), []byte(e.path), 0o600); err != nil {
			return fmt.Errorf("write down where %s is: %w", name, err)
		}
		r.engines[name] = e
	}
	return r.findRetired(c.Log)
}

// programFile, in the directory of an OCI runtime, has its program's path.
const programFile = "program"

// stateOf is not below the directory of the first OCI runtime, where each
// directory is a container.
func (r *Runtime) stateOf(name string) string { return filepath.Join(r.root, stateDir+"-"+name) }

// findRetired finds the OCI runtimes that earlier processes were given and this
// one wasn't. Their containers go on, and there will be no new ones.
func (r *Runtime) findRetired(log *slog.Logger) error {
	files, err := filepath.Glob(filepath.Join(r.stateOf("*"), programFile))
	if err != nil {
		return err
	}
	for _, file := range files {
		name := strings.TrimPrefix(filepath.Base(filepath.Dir(file)), stateDir+"-")
		if r.engines[name] != nil {
			continue
		}
		path, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("find %s: %w", name, err)
		}
		e, err := findEngine(string(path), filepath.Dir(file), log, name)
		if err != nil {
			log.Warn("containers of an OCI runtime can't be told to do anything but end", "runtime", name, "error", err)
			continue
		}
		e.retired = true
		r.engines[name] = e
	}
	return nil
}

func (r *Runtime) allEngines() []*engine {
	all := []*engine{r.oci}
	for _, e := range r.engines {
		all = append(all, e)
	}
	return all
}

func (r *Runtime) closeEngines() {
	for _, e := range r.allEngines() {
		if e != nil {
			e.Close()
		}
	}
}

// checkEngine refuses a name that this runtime wasn't given.
func (r *Runtime) checkEngine(name string) error {
	if e := r.engines[name]; name != "" && (e == nil || e.retired) {
		return fmt.Errorf("its capacity runs containers by %s, which this host was not started with", name)
	}
	return nil
}
