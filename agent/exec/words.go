package exec

import (
	"errors"
	"strings"
)

// words takes a command apart as a shell does, without being one: blanks
// divide, single quotes keep all, double quotes keep all but a backslash before
// one of $ ` " \ and newline, a backslash elsewhere keeps what follows it. So does
// AWS's agent: /bin/sh -c 'echo $HOME' has three words.
func words(command string) ([]string, error) {
	var all []string
	var word strings.Builder
	var quote byte
	begun := false
	for i := 0; i < len(command); i++ {
		c := command[i]
		switch {
		case quote == '\'':
			if c == quote {
				quote = 0
			} else {
				word.WriteByte(c)
			}
		case c == '\\':
			i++
			if i == len(command) {
				return nil, errors.New("the command ends in a backslash")
			}
			if quote == '"' && !strings.ContainsRune("$`\"\\\n", rune(command[i])) {
				word.WriteByte(c)
			}
			if command[i] != '\n' { // a line that goes on
				word.WriteByte(command[i])
				begun = true
			}
		case quote == '"':
			if c == quote {
				quote = 0
			} else {
				word.WriteByte(c)
			}
		case c == '\'' || c == '"':
			quote, begun = c, true
		case strings.IndexByte(" \t\r\n", c) >= 0:
			if begun {
				all = append(all, word.String())
				word.Reset()
				begun = false
			}
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	if quote != 0 {
		return nil, errors.New("the command has a " + string(quote) + " that is not closed")
	}
	if begun {
		all = append(all, word.String())
	}
	if len(all) == 0 {
		return nil, errors.New("the command has no words")
	}
	return all, nil
}
