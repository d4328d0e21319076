package main

import (
	"fmt"
	"path/filepath"
)

// runtimeName is the name that records have for an OCI runtime: its program's.
func runtimeName(program string) string {
	if program == "" {
		return ""
	}
	return filepath.Base(program)
}

// checkRuntimes refuses two programs of one name.
func (c *Config) checkRuntimes() error {
	if a, b := c.Runtime, c.FargateRuntime; a != b && runtimeName(a) == runtimeName(b) {
		return fmt.Errorf("--runtime %s and --fargate-runtime %s: two programs can't have the same name", a, b)
	}
	return nil
}

// runtimes are the OCI runtimes of this host besides its own, by name.
func (c *Config) runtimes() map[string]string {
	all := map[string]string{}
	for _, program := range []string{c.Runtime, c.FargateRuntime} {
		if program != "" {
			all[runtimeName(program)] = program
		}
	}
	return all
}
