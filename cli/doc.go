// Package cli has the commands of a person at a terminal, but for `berth up`:
// each is a struct of flags with a Run method. They talk to a running Berth
// through package local and read its data directory through package instance;
// they know no other part.
package cli
