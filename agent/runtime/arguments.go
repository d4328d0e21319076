package runtime

import (
	"fmt"
	"strings"
)

// What Linux starts a program with, in bytes: one argument or variable with its
// final null character, all of them together at least, and at most (execve(2),
// "Limits on size of arguments and environment").
const (
	maxArgument  = 128 << 10
	minArguments = 128 << 10
	maxArguments = 6 << 20
	// usualStack is the stack limit of which all may take a quarter, where a container has none.
	usualStack = 8 << 20
	// spare is for what is added to a container's own: the marks of commands, and
	// the program's path.
	spare = 4 << 10
)

// checkArguments refuses a command and an environment that are too much for the
// kernel, which would otherwise say so only when the process is there.
func checkArguments(s Spec) error {
	const tooLong = "argument list too long"
	for _, kv := range s.Env {
		if len(kv) >= maxArgument {
			name, _, _ := strings.Cut(kv, "=")
			return fmt.Errorf("%s: the environment variable %.100s has %d bytes, and Linux takes less than %d", tooLong, name, len(kv), maxArgument)
		}
	}
	for i, a := range s.Args {
		if len(a) >= maxArgument {
			return fmt.Errorf("%s: the argument %d of the command has %d bytes, and Linux takes less than %d", tooLong, i, len(a), maxArgument)
		}
	}
	var stack int64 = usualStack
	for _, u := range s.Ulimits {
		if u.Name == "stack" && u.Soft >= 0 {
			stack = u.Soft
		}
	}
	var all int64
	for _, list := range [][]string{s.Args, s.Env} {
		for _, text := range list {
			all += int64(len(text)) + 1 + 8 // with its null character and a pointer
		}
	}
	if room := min(max(stack/4, minArguments), maxArguments) - spare; all > room {
		return fmt.Errorf("%s: the command and the environment take %d bytes, and Linux takes %d with the stack limit %d", tooLong, all, room, stack)
	}
	return nil
}
