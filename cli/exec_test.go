package cli

import "testing"

func TestExecCommand(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "/bin/sh"},
		{[]string{"--"}, "/bin/sh"},
		{[]string{"--", "ls", "-l"}, "'ls' '-l'"},
		{[]string{"ls", "a b", "--", ""}, "'ls' 'a b' '--' ''"},
		{[]string{"--", "echo", "it's", `"\$x"`}, `'echo' 'it'\''s' '"\$x"'`},
	} {
		if got := (Exec{Command: test.args}).command(); got != test.want {
			t.Errorf("%q is sent as %s, want %s", test.args, got, test.want)
		}
	}
}
