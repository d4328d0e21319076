// Plugin is AWS's session-manager-plugin, built from its own packages for the
// end-to-end tests. AWS publishes it without a go.mod; this module says which
// versions of its dependencies to take, so that it is built from the module
// proxy alone. Nothing of it is part of Berth.
package main

import (
	"os"

	"github.com/aws/session-manager-plugin/src/sessionmanagerplugin/session"
	_ "github.com/aws/session-manager-plugin/src/sessionmanagerplugin/session/shellsession"
)

func main() { session.ValidateInputAndStartSession(os.Args, os.Stdout) }
